"""A slot that stays free looks for work by itself, so that nothing depends on a wake-up that arrives."""

from concurrent.futures import ThreadPoolExecutor
from typing import Self, final

from core.domain.ports import Claim
from worker.periodic import Periodic
from worker.tasks import carry_out, claim
from worker.tools import Tools


@final
class Lookout:
    """Asks the database for work every `seconds` while it is entered, and runs what it finds.

    Wake-ups are faster, and this is all that is left when the broker is away or Celery has lost its way to it.
    """

    def __init__(self, tools: Tools, *, slots: int, seconds: float) -> None:
        self._tools = tools
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="lookout")
        self._turns = Periodic("lookout", self.look, seconds=seconds)

    def __enter__(self) -> Self:
        self._turns.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._turns.__exit__(*exception)
        self._threads.shutdown()

    def look(self) -> None:
        """A job for every slot that is free, as far as there are jobs."""
        while (claimed := claim(self._tools)) is not None:
            self._threads.submit(self._run, claimed)

    def _run(self, claimed: Claim) -> None:
        carry_out(self._tools, claimed)
        self.look()
