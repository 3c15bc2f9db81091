"""Results on disk: one line of JSON each, appended as they come, so that a run can be stopped and go on."""

import json
from pathlib import Path
from threading import Lock
from typing import Any, final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.domain.errors import ErrorCode, InputError
from core.evaluation.benchmark_scenes.contenders import Contender, Kind
from core.evaluation.laboratory import Effort


@final
class Row(BaseModel):
    """One contender's edit of one kind on one scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scene: int
    kind: Kind
    contender: Contender
    source_prompt: str
    target_prompt: str
    reading: dict[str, str | int] = Field(description="What the judge takes the result to be.")
    asked: bool = Field(description="The asked attribute reads as asked.")
    kept: bool = Field(description="Every other attribute reads as the source truly has it.")
    success: bool
    background_psnr: float | None = Field(
        description="Outside the true mask, against the autoencoder's output of the source; edits of the object only."
    )
    object_psnr: float | None = Field(description="The same inside it; edits of the background only.")
    reconstruction_psnr: float | None = Field(description="Of the inversion, against the source.")
    reconstruction_psnr_autoencoder: float | None = Field(
        description="Of the inversion, against the autoencoder's output of the source."
    )
    inversion: Effort | None = Field(description="Shared by all edits of one inverter on one scene.")
    edit: Effort

    @property
    def key(self) -> tuple[int, Kind, Contender]:
        """What no two rows share."""
        return self.scene, self.kind, self.contender


@final
class RowFile:
    """The rows of a folder, and a picture of each; safe to add to from several threads."""

    def __init__(self, folder: Path, setup: dict[str, Any]) -> None:
        """Opens a folder or goes on in it.

        Raises:
            InputError: it holds rows made with another setup.
        """
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "rows.jsonl"
        self._lock = Lock()
        _agree(folder / "setup.json", setup)
        self.rows = _read(self._path)

    def add(self, row: Row, picture: bytes) -> None:
        """Keeps a row, its picture first."""
        self.picture(row.scene, row.kind, row.contender).write_bytes(picture)
        with self._lock, self._path.open("a") as file:
            file.write(row.model_dump_json() + "\n")
            self.rows.append(row)

    def picture(self, scene: int, kind: Kind, contender: Contender) -> Path:
        """Where the result of a row lies."""
        return self.folder / "pictures" / f"{scene:03}-{kind}-{contender}.png"


def _agree(path: Path, setup: dict[str, Any]) -> None:
    text = json.dumps(setup, indent=1, sort_keys=True)
    if not path.exists():
        path.write_text(text)
    elif path.read_text() != text:
        detail = f"{path.parent} holds results of other settings or another model; choose another folder."
        raise InputError(ErrorCode.VALIDATION, detail)


def _read(path: Path) -> list[Row]:
    """The whole rows of a file; what a killed run has left of its last line is cut off."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
        path.write_text("".join(lines))
    try:
        return [Row.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise InputError(ErrorCode.VALIDATION, f"{path} is not a file of this benchmark; remove it.") from error
