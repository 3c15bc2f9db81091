"""The pictures behind the rows, to be looked at: an edit a line, its source and every contender's result."""

from core.evaluation.benchmark_scenes.contenders import Contender, draw_cases
from core.evaluation.benchmark_scenes.rows import Row, RowFile
from core.images import Image, read_image
from core.pictures import contact_sheet
from core.pocket.render import render


def draw_sheet(file: RowFile, *, scenes: int, seed: int) -> Image:
    """The first scenes; each with what the judge says: ok, the asked not read, or all else not kept."""
    rows = {row.key: row for row in file.rows}
    pictures: list[list[Image]] = []
    captions: list[list[str]] = []
    for scene in range(scenes):
        for case in draw_cases(scene, seed=seed):
            found = [rows[key] for one in Contender if (key := (scene, case.kind, one)) in rows]
            drawn, asked = render(case.edit.scene).image, f"{case.kind}: {case.edit.value}"
            pictures.append([drawn, *(read_image(file.picture(*row.key).read_bytes()) for row in found)])
            captions.append([asked, *map(_caption, found)])
    return contact_sheet(pictures, captions)


def _caption(row: Row) -> str:
    verdict = "ok" if row.success else "not kept" if row.asked else "not read"
    return f"{row.contender}: {verdict}"
