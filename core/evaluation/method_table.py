"""Every inverter with every editor on drawn scenes: what each pair makes of them, in figures and in one picture."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

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


def _run_row(
    laboratory: Laboratory,
    cases: Sequence[Case],
    case: Case,
    *,
    inverter: InversionMethod,
    found: Mapping[Key, Cell],
) -> list[tuple[Cell, Image | None]]:
    """One inversion and all its edits."""
    wanted = [editor for editor in EDITORS if (case.scene, inverter, editor) not in found]
    if not wanted:
        return []
    spec = resolve_inversion(inverter, {}, laboratory.model.defaults)
    source = laboratory.invert(case.edit, spec)
    made: list[tuple[Cell, Image | None]] = []
    for editor in wanted:
        edit = edit_of(editor, case.kind)
        told = {
            "scene": case.scene,
            "kind": case.kind,
            "inverter": inverter,
            "editor": editor,
            "source_prompt": case.edit.prompts[0],
            "target_prompt": case.edit.prompts[1],
        }
        reason = refusal(spec, edit)
        if reason is not None:
            made.append((Cell(**told, refused=reason), None))
            continue
        content = _content(laboratory, cases, case) if editor is EditMethod.STYLE_TRANSFER else None
        edited = laboratory.edit(source, case.edit, edit, content=content)
        made.append((Cell(**told, **_figures(laboratory, case, editor, source=source, edited=edited)), edited.picture))
    return made


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
