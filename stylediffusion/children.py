"""Processes of ours that are kept running, and that never outlive the one that started them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, final

from core.domain.errors import Unavailable

# A process that ends so soon after its start was not stopped by an accident of its work: more likely it cannot start.
_SETTLED_SECONDS: Final = 60.0
_MOST_STARTS: Final = 4


@final
class Child:
    """One command of the command line as a process.

    It has a session of its own, so that a terminal's Ctrl-C reaches only its parent, and holds one end of a pipe by
    which it learns when that parent is gone, however it went.
    """

    def __init__(self, *arguments: str, environment: Mapping[str, str], descriptors: Sequence[int] = ()) -> None:
        self.name = arguments[0]
        self._command = [sys.executable, "-m", "stylediffusion", *arguments, "--with-parent"]
        self._environment = dict(environment)
        self._descriptors = tuple(descriptors)
        self._early_ends = self._faults = 0
        self._has_worked = False
        self._start_again_at: float | None = None
        self._start()

    def mind(self) -> None:
        """Starts it again where it has ended, after several ends in a row not before some seconds have passed.

        Raises:
            Unavailable: it ends again and again.
        """
        if self.ended() is None:
            return
        if self._start_again_at is None:
            self._count_end()
            self._start_again_at = time.monotonic() + min(self._early_ends, _MOST_STARTS) - 1
        if time.monotonic() >= self._start_again_at:
            self._let_go()
            self._start()

    def trust(self) -> None:
        """It has got to work once: what a signal ends from now on can start, and is started again without end."""
        self._has_worked = True

    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Asks it to end in good order."""
        if self.ended() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Returns when it has ended; when the time is up it is killed, and its leases bring its jobs back."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _count_end(self) -> None:
        status = self.ended() or 0
        if time.monotonic() - self._started_at > _SETTLED_SECONDS:
            self._early_ends = self._faults = 0
        self._early_ends += 1
        # A job may kill its worker (less than nothing is a signal), and its attempts come to an end by themselves.
        self._faults += status >= 0 or not self._has_worked
        if self._faults >= _MOST_STARTS:
            raise Unavailable(
                f"The {self.name} has ended {self._faults} times in a row, last with status {status}; its own words "
                "stand above."
            )

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _start(self) -> None:
        self._started_at = time.monotonic()
        self._start_again_at = None
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # logs go to stderr; this is Celery's small talk
            pass_fds=self._descriptors,
            start_new_session=True,
        )


def end_with_parent() -> None:
    """From now on this process terminates itself when its standard input is closed: its parent is gone."""

    def watch() -> None:
        # Not sys.stdin: a thread inside its lock would spoil the interpreter's own end.
        while os.read(0, 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
