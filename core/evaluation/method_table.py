"""Every inverter with every editor on drawn scenes: what each pair makes of them, in figures and in one picture."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO, TypeAlias, final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from core.domain.compatibility import refusal
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, resolve_edit
from core.domain.inversion_specs import InversionMethod, resolve_inversion
from core.domain.methods import EDIT_METHODS, INVERSION_METHODS
from core.evaluation.benchmark_scenes.contenders import PRESETS, Case, Kind, draw_cases
from core.evaluation.laboratory import EditedScene, Effort, Inverted, Laboratory
from core.evaluation.psnr import psnr
from core.images import Image, read_image, to_png
from core.pictures import contact_sheet

_IN_FLIGHT: Final = 8
_BLANK: Final = np.full((64, 64, 3), 235, np.uint8)
INVERTERS: Final = tuple(InversionMethod(method.name) for method in INVERSION_METHODS)
EDITORS: Final = tuple(EditMethod(method.name) for method in EDIT_METHODS)

# The second picture of a style transfer is the next scene's.
_CONTENT: Final = "img_content"
# Where a method has another good setting for a kind of edit than its own defaults.
_SETTINGS: Final[Mapping[EditMethod, Mapping[str, Any]]] = MappingProxyType(
    {EditMethod.STYLE_TRANSFER: {"content_image_id": _CONTENT}}
)
# Takes of an inversion the picture alone, so that one result serves them all.
_OF_THE_PICTURE: Final = EditMethod.IMAGIC
Key: TypeAlias = tuple[int, InversionMethod, EditMethod]


@final
class Cell(BaseModel):
    """What one pair made of one scene; a refused pair says why and has no figures.

    `background_psnr` is in dB outside the true mask (for a background's edit: inside it) against the autoencoder's
    output. A style transfer has another purpose and no verdict.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: int
    kind: Kind
    inverter: InversionMethod
    editor: EditMethod
    source_prompt: str
    target_prompt: str
    refused: str | None = None
    asked: bool | None = Field(None, description="The asked attribute reads as asked.")
    kept: bool | None = Field(None, description="Every other attribute reads as the source has it.")
    background_psnr: float | None = None
    reconstruction_psnr: float | None = None
    effort: Effort | None = None

    @property
    def key(self) -> Key:
        """What no two cells share."""
        return self.scene, self.inverter, self.editor

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.refused is not None:
            return "refused"
        if self.asked is None:
            return "made"
        return ("ok" if self.kept else "not kept") if self.asked else "not read"


def draw_table_cases(count: int, *, seed: int) -> tuple[Case, ...]:
    """One edit a scene, the kinds in turn."""
    kinds = tuple(Kind)
    return tuple(draw_cases(scene, seed=seed)[scene % len(kinds)] for scene in range(count))


def run_table(
    laboratory: Laboratory, cases: Sequence[Case], folder: Path, *, done: Callable[[Cell], None]
) -> list[Cell]:
    """Every cell; those that the folder already holds are not computed again.

    Leaves `cells.jsonl` and a picture of each cell that was not refused.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    found = {cell.key: cell for cell in _read(folder)}
    for cell in found.values():
        done(cell)
    with ThreadPoolExecutor(_IN_FLIGHT) as pool, (folder / "cells.jsonl").open("a") as file:
        tasks = [
            pool.submit(_run_row, laboratory, cases, case, inverter=inverter, found=found)
            for case in cases
            for inverter in INVERTERS
        ]
        for task in as_completed(tasks):
            for cell, picture in task.result():
                if picture is not None:
                    _picture(folder, cell.key).write_bytes(to_png(picture))
                file.write(cell.model_dump_json() + "\n")
                file.flush()
                found[cell.key] = cell
                done(cell)
        for case in cases:
            for inverter in INVERTERS[1:]:
                if (case.scene, inverter, _OF_THE_PICTURE) not in found:
                    done(_share(found, folder, case, inverter=inverter, file=file))
    return sorted(found.values(), key=lambda cell: cell.key)


def draw_table(cases: Sequence[Case], cells: Sequence[Cell], folder: Path) -> Image:
    """Scene under scene: an inverter a line, an editor a column; the scene's drawing first."""
    by_key = {cell.key: cell for cell in cells}
    pictures, captions = [], []
    for case in cases:
        drawn = case.edit.drawn().image
        for inverter in INVERTERS:
            row = [by_key[case.scene, inverter, editor] for editor in EDITORS]
            shown = [_BLANK if one.refused else read_image(_picture(folder, one.key).read_bytes()) for one in row]
            pictures.append([drawn, *shown])
            captions.append([f"{inverter}: {case.edit.value}", *(f"{one.editor}: {one.verdict}" for one in row)])
    return contact_sheet(pictures, captions)


def _share(found: dict[Key, Cell], folder: Path, case: Case, *, inverter: InversionMethod, file: TextIO) -> Cell:
    """The result that a method has from every inversion alike, under another one's name."""
    made = found[case.scene, INVERTERS[0], _OF_THE_PICTURE]
    cell = made.model_copy(update={"inverter": inverter, "reconstruction_psnr": None})
    _picture(folder, cell.key).write_bytes(_picture(folder, made.key).read_bytes())
    file.write(cell.model_dump_json() + "\n")
    found[cell.key] = cell
    return cell


def _run_row(
    laboratory: Laboratory,
    cases: Sequence[Case],
    case: Case,
    *,
    inverter: InversionMethod,
    found: Mapping[Key, Cell],
) -> list[tuple[Cell, Image | None]]:
    """One inversion and all its edits."""
    first = inverter is INVERTERS[0]
    wanted = [
        editor
        for editor in EDITORS
        if (case.scene, inverter, editor) not in found and (first or editor is not _OF_THE_PICTURE)
    ]
    if not wanted:
        return []
    spec = resolve_inversion(inverter, {}, laboratory.model.defaults)
    source = laboratory.invert(case.edit, spec)
    return [_make_cell(laboratory, cases, case, editor=editor, source=source) for editor in wanted]


def _make_cell(
    laboratory: Laboratory, cases: Sequence[Case], case: Case, *, editor: EditMethod, source: Inverted
) -> tuple[Cell, Image | None]:
    """One edit of an inversion; without a picture where the pair is refused."""
    edit = edit_of(editor, case.kind)
    told = {
        "scene": case.scene,
        "kind": case.kind,
        "inverter": source.spec.method,
        "editor": editor,
        "source_prompt": case.edit.prompts[0],
        "target_prompt": case.edit.prompts[1],
    }
    reason = refusal(source.spec, edit)
    if reason is not None:
        return Cell(**told, refused=reason), None
    content = _content(laboratory, cases, case) if editor is EditMethod.STYLE_TRANSFER else None
    edited = laboratory.edit(source, case.edit, edit, content=content)
    return Cell(**told, **_figures(laboratory, case, editor, source=source, edited=edited)), edited.picture


def edit_of(editor: EditMethod, kind: Kind) -> EditSpec:
    """The method's own defaults under the kind's preset, as far as it has its parameters."""
    known = next(method.spec.model_fields for method in EDIT_METHODS if method.name == editor)
    preset = {name: value for name, value in PRESETS[kind].items() if name in known}
    return resolve_edit(editor, {**preset, **_SETTINGS.get(editor, {})})


def _content(laboratory: Laboratory, cases: Sequence[Case], case: Case) -> Any:
    following = cases[(cases.index(case) + 1) % len(cases)]
    return laboratory.backbone.encode_image(following.edit.drawn().image)


def _figures(
    laboratory: Laboratory, case: Case, editor: EditMethod, *, source: Inverted, edited: EditedScene
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "effort": edited.effort,
        "reconstruction_psnr": None if source.fidelity is None else source.fidelity[1],
    }
    if editor is not EditMethod.STYLE_TRANSFER:
        verdict = case.edit.judge(laboratory.judge, edited.picture)
        figures |= {"asked": verdict.asked, "kept": verdict.kept}
        figures["background_psnr"] = psnr(source.autoencoded, edited.picture, case.edit.kept_region())
    return figures


def _read(folder: Path) -> Iterator[Cell]:
    file = folder / "cells.jsonl"
    for line in file.read_text().splitlines() if file.exists() else ():
        yield Cell.model_validate_json(line)


def _picture(folder: Path, key: Key) -> Path:
    scene, inverter, editor = key
    return folder / "pictures" / f"{scene:03}-{inverter}-{editor}.png"
