"""Workers as real processes, started and killed by tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, final

_DEADLINE_SECONDS = 60.0


@final
class WorkerProcess:
    """One worker with the fake studio."""

    def __init__(self, journal: Path, environment: dict[str, str], *, timestep_seconds: float = 0.1) -> None:
        self._log = journal.with_suffix(f".{time.monotonic_ns()}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack.worker", str(journal), str(timestep_seconds)],
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The exit status, once it has ended."""
        return self._process.wait(_DEADLINE_SECONDS)

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Returns when the condition holds; fails after a minute."""
    give_up_at = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, f"never happened: {what}"
        time.sleep(0.02)
