"""A worker process with the fake studio: `python -m tests.stack.worker JOURNAL TIMESTEP_SECONDS`.

Where it is forked it may have the true one.
"""

import logging
import os
import sys
from pathlib import Path
from pkgutil import resolve_name

from core.domain.studio import Studio
from core.settings import Settings
from tests.stack.studio import FakeStudio
from worker.app import run


def work(log: Path, environment: dict[str, str], *, journal: Path, timestep_seconds: float | None) -> None:
    """All that such a process does; it ends with the worker's exit status. The true studio takes its own time."""
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    sys.exit(_run(journal, timestep_seconds))


def _run(journal: Path, timestep_seconds: float | None) -> int:
    logging.basicConfig(level=logging.WARNING)
    return run(Settings(), lambda settings: _load(settings, journal, timestep_seconds))


def _load(settings: Settings, journal: Path, timestep_seconds: float | None) -> Studio:
    if timestep_seconds is not None:
        return FakeStudio(journal, timestep_seconds)
    # By name: a process with the fake studio has no use for torch.
    studio: Studio = resolve_name("tests.stack.true_studio:load")(settings, journal)
    return studio


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), float(sys.argv[2])))
