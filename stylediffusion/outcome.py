"""What an inversion or an edit has left, from wherever it was computed: files to keep, figures to show."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from rich.console import Console
from rich.table import Table

_SUFFIXES: Final = {"image/png": ".png", "application/octet-stream": ".safetensors"}


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """The files by name with their suffix, the result as the service tells it, and what the caller should know."""

    files: dict[str, bytes]
    result: dict[str, Any]
    warnings: tuple[str, ...]
    seconds: float | None


def file_name(name: str, media_type: str) -> str:
    """An artifact's name as a file."""
    return name + _SUFFIXES.get(media_type, "")


def keep(outcome: Outcome, folder: Path) -> None:
    """Writes the files and, as `result.json`, the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in outcome.files.items():
        (folder / name).write_bytes(data)
    told = {"result": outcome.result, "warnings": outcome.warnings, "seconds": outcome.seconds}
    (folder / "result.json").write_text(json.dumps(told, indent=1))


def show(outcome: Outcome, folder: Path, console: Console) -> None:
    """Prints what was measured, the warnings, and where the files lie."""
    quality: dict[str, Any] = outcome.result.get("quality") or {}
    basis = quality.get("basis", {})
    table = Table("measured", "value", "what it compares", box=None)
    for name, value in quality.items():
        if isinstance(value, int | float):
            table.add_row(name, f"{value:.4g}", basis.get(name, ""))
    if table.rows:
        console.print(table)
    for warning in outcome.warnings:
        console.print(f"Note: {warning}", markup=False)
    took = "" if outcome.seconds is None else f" ({outcome.seconds:.1f} seconds)"
    console.print(f"{', '.join(outcome.files)} lie in {folder}{took}", markup=False, soft_wrap=True)
