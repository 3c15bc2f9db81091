"""What a process of a run is started with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from tests.chaos.defects import Defect


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a process is started with; `trap` is a file whose presence kills an API after its next commit of a job."""

    environment: Mapping[str, str]
    folder: Path
    trap: Path
    port: int = 0
    defect: Defect = Defect.NONE


def ready_mark(setting: Setting, pid: int | None) -> Path:
    """The file by which a worker says that it has loaded its model."""
    return setting.folder / f"{pid}.ready"
