"""One thread keeps the leases of all jobs in flight and learns what their callers want."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import final

from core.domain.job import Progress
from core.domain.ports import Beat, Claim, Database
from core.domain.studio import StopReason
from core.usecases.attempts import beat


@final
class Pulse:
    """One attempt in flight: where it stands, and why it should stop, if it should."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.progress = claim.job.progress
        self.stop: StopReason | None = None
        self._moved_at = monotonic()

    def reached(self, progress: Progress) -> None:
        """The computation has got this far."""
        self.progress = progress
        self._moved_at = monotonic()

    def silent_seconds(self) -> float:
        """Time since the computation last moved."""
        return monotonic() - self._moved_at

    def interrupt(self, reason: StopReason) -> None:
        """Asks the attempt to stop; a lost lease outweighs every other reason."""
        if self.stop is None or reason is StopReason.LOST:
            self.stop = reason


@final
class Heartbeat:
    """Knows every attempt in flight; `tick` is called again and again from a thread of its own."""

    def __init__(self, database: Database, *, lease_seconds: float, stall_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._stall_seconds = stall_seconds
        self._lock = Lock()
        self._pulses: dict[str, Pulse] = {}
        self._stopping = False

    @contextmanager
    def carrying(self, claim: Claim) -> Iterator[Pulse]:
        """Keeps the lease of an attempt while it runs."""
        pulse = Pulse(claim)
        with self._lock:
            self._pulses[claim.job.id] = pulse
            if self._stopping:
                pulse.interrupt(StopReason.SHUTDOWN)
        try:
            yield pulse
        finally:
            with self._lock:
                # A later attempt of the same job may run in this process, while this one was already lost.
                if self._pulses.get(claim.job.id) is pulse:
                    del self._pulses[claim.job.id]

    def tick(self) -> None:
        """One beat for every attempt that moves; one that does not is left to lose its lease."""
        for pulse in self._in_flight():
            if pulse.silent_seconds() < self._stall_seconds:
                _heed(pulse, beat(self._database, pulse.claim, pulse.progress, lease_seconds=self._lease_seconds))

    def shut_down(self) -> None:
        """Every attempt, running or about to, is told to stop; its job goes on elsewhere."""
        with self._lock:
            self._stopping = True
        for pulse in self._in_flight():
            pulse.interrupt(StopReason.SHUTDOWN)

    def claims(self) -> list[Claim]:
        """Of every attempt in flight."""
        return [pulse.claim for pulse in self._in_flight()]

    @property
    def stopping(self) -> bool:
        """True once the worker is going down."""
        return self._stopping

    def _in_flight(self) -> list[Pulse]:
        with self._lock:
            return list(self._pulses.values())


def _heed(pulse: Pulse, answer: Beat) -> None:
    if not answer.alive:
        pulse.interrupt(StopReason.LOST)
    elif answer.cancel_requested:
        pulse.interrupt(StopReason.CANCELED)
