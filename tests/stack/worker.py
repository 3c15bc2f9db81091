"""A worker process with the fake studio: `python -m tests.stack.worker JOURNAL TIMESTEP_SECONDS`."""

import logging
import os
import sys
from pathlib import Path

from core.settings import Settings
from tests.stack.studio import FakeStudio
from worker.app import run


def work(log: Path, environment: dict[str, str], *, journal: Path, timestep_seconds: float) -> None:
    """All that such a process does; it ends with the worker's exit status."""
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(descriptor, stream.fileno())
    sys.exit(_run(journal, timestep_seconds))


def _run(journal: Path, timestep_seconds: float) -> int:
    logging.basicConfig(level=logging.WARNING)
    studio = FakeStudio(journal, timestep_seconds)
    return run(Settings(), lambda _: studio)


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), float(sys.argv[2])))
