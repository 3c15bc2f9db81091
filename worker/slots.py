"""A worker's slots: threads that run one job after another, whatever becomes of the messages that call them."""

import logging
from threading import Condition, Thread
from time import monotonic
from typing import Final, Self, final

from core.domain.errors import Unavailable
from core.domain.ports import Claim
from core.usecases.attempts import release
from worker.insisting import insist
from worker.periodic import Periodic
from worker.tools import Tools
from worker.working import work

_log = logging.getLogger(__name__)
_DRAIN_SECONDS: Final = 5.0  # a job that comes to no timestep by then is handed on as its newest checkpoint has it
_RELEASE_SECONDS: Final = 3.0


@final
class Slots:
    """`with` starts the threads; at its end every job is handed on.

    The bell rings for every wake-up, and every so often without one, for it may be lost and its broker away. Each ring
    sends one thread to look for work, and one that finds some rings for the next.
    """

    def __init__(self, tools: Tools, *, count: int, seconds: float) -> None:
        self._tools = tools
        self._bell = Condition()
        self._rung = False
        self._threads = [Thread(target=self._serve, name=f"slot {number}", daemon=True) for number in range(count)]
        self._lookout = Periodic("lookout", self.ring, seconds=seconds)
        self.abandoned = 0  # threads that were left in the middle of a job

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self._lookout.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._tools.heartbeat.shut_down()
        with self._bell:
            self._bell.notify_all()
        self._lookout.__exit__(*exception)
        give_up_at = monotonic() + _DRAIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - monotonic()))
        for claim in self._tools.heartbeat.claims():
            self._hand_on(claim)
        self.abandoned = sum(thread.is_alive() for thread in self._threads)

    def ring(self, *, patience: float = 0.0) -> None:
        """One slot, the first that is free, looks for work.

        Args:
            patience: seconds to wait for the ring before this one to be heard, where nobody is free.
        """
        with self._bell:
            self._bell.wait_for(lambda: not self._rung or self._tools.heartbeat.stopping, patience)
            self._rung = True
            self._bell.notify_all()

    def _serve(self) -> None:
        while not self._tools.heartbeat.stopping:
            if not self._work():
                with self._bell:
                    self._bell.wait_for(lambda: self._rung or self._tools.heartbeat.stopping)
                    self._rung = False
                    self._bell.notify_all()

    def _work(self) -> bool:
        try:
            return work(self._tools, found=self.ring)
        except Exception:  # noqa: BLE001 - whatever went wrong, the next look may succeed
            _log.warning("A slot could not look for work and tries again.", exc_info=True)
            return False

    def _hand_on(self, claim: Claim) -> None:
        def give_back() -> bool:
            return release(self._tools.database, self._tools.wakeups, claim, count_attempt=False)

        try:
            insist(give_back, seconds=_RELEASE_SECONDS)
        except Unavailable:
            _log.warning("%s could not be handed on; its lease runs out.", claim.job.id, exc_info=True)
