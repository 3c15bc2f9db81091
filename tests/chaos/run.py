"""One run: callers send, the monkey breaks, everything comes to rest, and the oracle looks."""

import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random, random
from typing import final

from sqlalchemy.exc import SQLAlchemyError

from core.usecases.keys import Scope, make_key
from tests.chaos.caller import Caller
from tests.chaos.defects import Defect
from tests.chaos.evidence import Evidence, count_changes, count_unfinished, gather
from tests.chaos.ledger import Ledger
from tests.chaos.monkey import Monkey
from tests.chaos.sink import Sink, sink
from tests.chaos.stack import SHORT_PACE, Pace, Servers, Stack
from tests.chaos.stories import Kind, Story, Teller, picture, plan

_LOG = logging.getLogger(__name__)
_TENANTS = ("acme", "bolt", "crux")
_IMAGES = 3  # of each tenant
_NO_STORY = 60_000  # a number that no story has
_CALLERS = 6  # stories told at once
# Unfinished jobs above which nobody sends more. Fewer than two workers have slots: a job that waits for a busy slot
# says nothing about how soon it was given back.
_MOST_WAITING = 11
_TICK_SECONDS = 0.1
_UNASKED = 0.02  # chance per look that a caller asks all the same while Redis is away, so that this is seen
_SENT = 0.5  # chance that it sends its story then, rather than looking at `/readyz`
_LOOK_SECONDS = 1.0
_FIRST_DEED_SECONDS = 60.0  # by then a worker is ready, or never will be
_TELL_SECONDS = 15.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be run."""

    jobs: int
    seed: int = 0
    pace: Pace = SHORT_PACE
    defect: Defect = Defect.NONE
    kinds: Collection[Kind] = tuple(Kind)
    calm: float = 1.0
    seconds: float = math.inf  # after which no further story is told


@final
class Run:
    """The callers' side of a running stack."""

    def __init__(self, stack: Stack, order: Order, ledger: Ledger, *, told: Sink) -> None:
        self._stack = stack
        self._order = order
        self._ledger = ledger
        self._told = told
        self._random = Random(order.seed)
        # A short run takes its time too, so that something is broken while it lasts.
        self._window = min(_MOST_WAITING, order.jobs // 4)
        self._looked_at = self._said_at = 0.0
        self._over = False
        self._began_at = time.monotonic()
        self._ends_at = self._began_at + order.seconds
        self.monkey = Monkey(stack, ledger, Random(order.seed + 1), calm=order.calm)

    def play(self) -> Evidence:
        """Everything from the first image to the last look."""
        with ExitStack() as stack:
            callers = [stack.enter_context(self._caller(tenant)) for tenant in _TENANTS]
            tellers = [self._teller(caller) for caller in callers]
            self._send(tellers)
            self._come_to_rest()
            self._hear_the_rest(callers)
        return gather(
            self._stack.database,
            self._stack.database.engine,
            self._stack.store,
            ledger=self._ledger,
            sink=self._told,
            deeds=self.monkey.deeds,
            pace=self._order.pace,
            workers=len(self._stack.workers),
        )

    def _send(self, tellers: Sequence[Teller]) -> None:
        stories = plan(self._order.jobs, self._random, kinds=self._order.kinds)
        with ThreadPoolExecutor(_CALLERS) as pool:
            told = [pool.submit(self._tell, tellers[story.number % len(tellers)], story) for story in stories]
            try:
                while not all(one.done() for one in told) or self._is_unharmed():
                    self._tick()
                    self.monkey.act()
            finally:
                self._over = True
                self.monkey.rest()
        _raise_first(told)

    def _tell(self, teller: Teller, story: Story) -> None:
        while self._ledger.unfinished > self._window and not self._over:
            if self._ledger.redis_outage and random() < _UNASKED:
                # One or the other: a look takes as long as the broker is waited for, and Redis may be back by then.
                if random() < _SENT:
                    break
                teller.look_at_readiness()
            time.sleep(_TICK_SECONDS)
        if time.monotonic() < self._ends_at:
            teller.tell(story)

    def _is_unharmed(self) -> bool:
        """Whether nothing is broken yet, though there is work: a short run is told before the first worker is ready."""
        if self.monkey.deeds or time.monotonic() > self._began_at + _FIRST_DEED_SECONDS:
            return False
        with suppress(SQLAlchemyError):
            return count_unfinished(self._stack.database.engine) > 0
        return True

    def _come_to_rest(self) -> None:
        """Returns when all is done, or when nothing has moved for longer than any repair takes."""
        pace = self._order.pace
        patience = 3 * (pace.lease + pace.sweep) + pace.stall + 10
        seen, seen_at = -1, time.monotonic()
        while time.monotonic() < seen_at + patience:
            self._tick()
            if self._ledger.unfinished == 0:
                return
            with suppress(SQLAlchemyError):  # the database may have come back a moment ago
                changes = count_changes(self._stack.database.engine)
                if changes != seen:
                    seen, seen_at = changes, time.monotonic()

    def _hear_the_rest(self, callers: Sequence[Caller]) -> None:
        """A delivery whose next try is minutes away is asked for again, as a caller may."""
        give_up_at = time.monotonic() + 30
        asked: set[str] = set()
        for caller in callers:
            while pending := caller.get("/webhook_deliveries?state=pending&page_size=1000")["items"]:
                for delivery in pending:
                    if delivery["id"] not in asked:
                        asked.add(delivery["id"])
                        self._ledger.count("sent again")
                        caller.post(f"/webhook_deliveries/{delivery['id']}/redeliver")
                self._tick()
                if time.monotonic() > give_up_at:
                    break

    def _tick(self) -> None:
        time.sleep(_TICK_SECONDS)
        self._stack.mind()
        if time.monotonic() < self._looked_at + _LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            self._ledger.unfinished = count_unfinished(self._stack.database.engine)
        except SQLAlchemyError:
            self._ledger.lose_sight()
        if time.monotonic() > self._said_at + _TELL_SECONDS:
            self._said_at = time.monotonic()
            unfinished, deeds = self._ledger.unfinished, len(self.monkey.deeds)
            _LOG.info("%d posts accepted, %.0f jobs unfinished, %d deeds", len(self._ledger.fates), unfinished, deeds)

    @contextmanager
    def _caller(self, tenant: str) -> Iterator[Caller]:
        _, token = make_key(self._stack.database, tenant, name="chaos", scopes=Scope)
        caller = Caller(self._stack.urls, token, self._ledger, tenant=tenant)
        try:
            yield caller
        finally:
            caller.close()

    def _teller(self, caller: Caller) -> Teller:
        endpoint = caller.post("/webhook_endpoints", {})
        assert endpoint is not None
        self._ledger.secrets[caller.tenant] = endpoint.json()["secret"]
        images = [_image_id(caller, _NO_STORY + place) for place in range(_IMAGES)]
        return Teller(caller, images=images, hook=self._told.address(caller.tenant), random=self._random)


def play(servers: Servers | None, folder: Path, order: Order) -> Evidence:
    """A run on these servers, or on none with everything in the folder."""
    (folder / "data").mkdir(exist_ok=True)
    ledger = Ledger()
    with (
        sink(ledger) as told,
        Stack(servers, folder, pace=order.pace, defect=order.defect, seed=order.seed) as stack,
    ):
        return Run(stack, order, ledger, told=told).play()


def _image_id(caller: Caller, number: int) -> str:
    answer = caller.post("/images", {"base64": picture(number)})
    assert answer is not None
    return str(answer.json()["id"])


def _raise_first(told: Sequence[Future[None]]) -> None:
    for one in told:
        one.result()
