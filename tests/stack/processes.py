"""Workers as real processes, started and killed by tests.

They are forked from a process that has done their imports once, which takes longer than all the rest of a start.
"""

import multiprocessing
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, final
from urllib.error import URLError

from tests.stack import worker

_DEADLINE_SECONDS = 60.0

_FORKING: Final = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["__main__", "tests.stack.worker", "tests.stack.true_studio"])


@final
class WorkerProcess:
    """One worker with the fake studio, or with the true one where no time is given for its timesteps."""

    def __init__(self, journal: Path, environment: dict[str, str], *, timestep_seconds: float | None = 0.1) -> None:
        self._log = journal.with_suffix(f".{time.monotonic_ns()}.log")
        given = {**os.environ, **environment}
        self._process = _FORKING.Process(
            target=worker.work,
            args=(self._log, given),
            kwargs={"journal": journal, "timestep_seconds": timestep_seconds},
        )
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self._process.kill()
        self._process.join()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> int:
        """SIGTERM, and the exit status."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """The exit status, once it has ended."""
        self._process.join(_DEADLINE_SECONDS)
        status = self._process.exitcode
        assert status is not None, "the worker has not ended"
        return status

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

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


def is_ready(url: str, path: str = "/readyz") -> bool:
    """Whether an API answers there, all that it needs is there, and so is a worker."""
    try:
        with urllib.request.urlopen(f"{url}{path}"):
            return True
    except (URLError, ConnectionError):
        return False
