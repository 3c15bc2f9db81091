"""A worker process with the fake studio: `python -m tests.stack.worker JOURNAL TIMESTEP_SECONDS`."""

import logging
import sys
from pathlib import Path

from core.settings import Settings
from tests.stack.studio import FakeStudio
from worker.app import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    studio = FakeStudio(Path(sys.argv[1]), float(sys.argv[2]))
    sys.exit(run(Settings(), lambda _: studio))
