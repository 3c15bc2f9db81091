"""Kills, stops and cuts, by a schedule of random numbers that a seed repeats."""

import math
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import final

from tests.chaos.ledger import Ledger
from tests.chaos.stack import Part, Servers, Stack

_PAUSE_SECONDS = (1.5, 4.0)  # between two deeds
_POSTGRES_PAUSE_SECONDS = (5.0, 20.0)
_SPARED = 2  # workers that are ready and left alone: recovery is a promise where there is somebody to recover
POSTGRES_STOPPED = "Postgres stopped"
STORM = "S3 refused and cut"
WORKER_DRAINED = "worker drained"
WORKER_STOPPED = "worker stopped past its lease"
_STORM = 0.3  # share of requests refused, and of pieces of data cut


@final
@dataclass(slots=True)
class Deed:
    """Something broken, and from when to when, by this machine's clock."""

    name: str
    at: float
    until: float = math.inf
    worker: int | None = None  # the id of the process, where it was one worker's


@final
class Monkey:
    """Does what is due whenever it is asked; everything it stops goes on some seconds later."""

    def __init__(self, stack: Stack, ledger: Ledger, random: Random, *, calm: float = 1.0) -> None:
        self._stack = stack
        self._ledger = ledger
        self._random = random
        self._calm = calm  # multiplies the pauses between deeds
        self._undo: list[tuple[float, Callable[[], None]]] = []
        self._next_at = time.monotonic()
        self._postgres_at = self._next_at + random.uniform(*_POSTGRES_PAUSE_SECONDS)
        self._bag = self._deeds()
        self._stopped: list[Part] = []
        self.deeds: list[Deed] = []

    @property
    def counts(self) -> Counter[str]:
        """How often each thing was done."""
        return Counter(deed.name for deed in self.deeds)

    def act(self) -> None:
        """Undoes what has lasted long enough, and does the next deed when its time has come."""
        self._undo_due(time.monotonic())
        now = time.monotonic()
        # Before anybody works there is nothing to break, and a deed that finds no worker would be lost.
        if now >= self._next_at and any(worker.ready for worker in self._stack.workers):
            name, deed = next(self._bag)
            self._do(name, deed)
            self._next_at = now + self._calm * self._random.uniform(*_PAUSE_SECONDS)
        if self._stack.servers is not None and now >= self._postgres_at:
            self._do(POSTGRES_STOPPED, lambda: self._stop_postgres(self._stack.servers))
            self._postgres_at = time.monotonic() + self._random.uniform(*_POSTGRES_PAUSE_SECONDS)

    def rest(self) -> None:
        """Undoes everything."""
        self._undo_due(float("inf"))

    def _deeds(self) -> Iterator[tuple[str, Callable[[], None]]]:
        kills: list[tuple[str, Callable[[], None]]] = [("worker killed", self._kill)] * 3
        each = [
            *kills,
            (WORKER_STOPPED, self._stop),
            (WORKER_DRAINED, self._drain),
            ("API killed between commit and answer", self._kill_api),
            ("wake-ups lost", self._lose_wake_ups),
        ]
        if self._stack.servers is not None:
            each += [("Redis killed", self._kill_redis), (STORM, self._storm)]
        while True:
            self._random.shuffle(each)
            yield from each

    def _do(self, name: str, deed: Callable[[], None]) -> None:
        done = Deed(name, time.time())
        self.deeds.append(done)
        lasting = len(self._undo)
        deed()
        if len(self._undo) == lasting:
            done.until = time.time()

    def _undo_due(self, now: float) -> None:
        due = [undo for at, undo in self._undo if at <= now]
        self._undo = [(at, undo) for at, undo in self._undo if at > now]
        for undo in due:
            undo()

    def _later(self, seconds: float, undo: Callable[[], None]) -> None:
        deed = self.deeds[-1]

        def end() -> None:
            undo()
            deed.until = time.time()

        self._undo.append((time.monotonic() + seconds, end))

    def _harm(self, how: Callable[[Part], None]) -> None:
        """Breaks a worker that can be spared; on a crowded machine the dead take longer to come back."""
        ready = [worker for worker in self._stack.workers if worker.ready and worker not in self._stopped]
        if len(ready) > (_SPARED if len(self._stack.workers) > 1 else 0):
            worker = self._random.choice(ready)
            self.deeds[-1].worker = worker.pid
            how(worker)
        else:
            self.deeds.pop()

    def _kill(self) -> None:
        self._harm(lambda worker: worker.signal(signal.SIGKILL))

    def _stop(self) -> None:
        self._harm(self._stop_worker)

    def _stop_worker(self, worker: Part) -> None:
        pace = self._stack.pace
        worker.signal(signal.SIGSTOP)
        self._stopped.append(worker)

        def go_on() -> None:
            worker.signal(signal.SIGCONT)
            self._stopped.remove(worker)

        # It wakes while the next attempt has just begun, or is about to.
        self._later(pace.lease + self._random.uniform(1, 3) * pace.sweep, go_on)

    def _drain(self) -> None:
        self._harm(Part.drain)

    def _kill_api(self) -> None:
        self._random.choice(self._stack.apis).setting.trap.touch()

    def _lose_wake_ups(self) -> None:
        servers = self._stack.servers
        if servers is None:
            folder = self._stack.settings.data_dir / "queue"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
        elif servers.redis.pid is not None:
            servers.redis.flush()

    def _kill_redis(self) -> None:
        servers = self._stack.servers
        if servers is None:
            return
        servers.redis.kill()
        self._ledger.redis_outage = len(self.deeds)
        self._later(self._random.uniform(0.5, 4), lambda: self._start_redis(servers))

    def _start_redis(self, servers: Servers) -> None:
        self._ledger.redis_outage = 0
        servers.redis.start()

    def _storm(self) -> None:
        proxy = self._stack.proxy
        if proxy is None:
            return
        proxy.errors = proxy.cuts = _STORM

        def calm() -> None:
            proxy.errors = proxy.cuts = 0.0

        self._later(self._random.uniform(0.5, 4), calm)

    def _stop_postgres(self, servers: Servers | None) -> None:
        if servers is None:
            return
        if self._random.random() < 0.5:
            servers.postgres.kill()
        else:
            servers.postgres.stop()
        self._later(self._random.uniform(0.3, 5), servers.postgres.start)
