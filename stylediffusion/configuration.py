"""The settings of a command: the environment's, and over them what the command line says."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.domain.errors import ErrorCode, InputError
from core.settings import Settings

DATA_HELP = "Where the embedded service keeps everything. [default: DATA_DIR, else data]"


def read_settings(*, data: Path | None = None, **given: Any) -> Settings:
    """The settings, in which None means that the command line said nothing.

    Raises:
        InputError: a value that no setting can have, by its name.
    """
    changes = {name: value for name, value in {**given, "data_dir": data}.items() if value is not None}
    try:
        return Settings(**changes)
    except ValidationError as error:
        faults = "; ".join(f"{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors())
        raise InputError(ErrorCode.VALIDATION, f"The settings are not valid. {faults}") from error
