"""What the callers of a run know: what they sent, what was accepted, and how it may end."""

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import final


class Fate(StrEnum):
    """How a job may end."""

    SUCCEEDS = "succeeds"
    CANCELED = "is canceled, or has succeeded before"
    EXPIRES = "expires at its deadline, or has succeeded before"
    POISON = "is given up as POISON"
    FAILS_ALONG = "fails with its inversion, or has succeeded before"


@final
@dataclass
class Ledger:
    """Shared by the threads of all callers."""

    fates: dict[str, Fate] = field(default_factory=dict)  # of each job or batch that was accepted
    refusals: list[str] = field(default_factory=list)  # answers that no caller should get
    secrets: dict[str, str] = field(default_factory=dict)  # of webhooks, by tenant
    counts: Counter[str] = field(default_factory=Counter)
    posted_without_redis: list[float] = field(default_factory=list)  # when each post was answered meanwhile
    unfinished: float = 0.0  # as the database has it; infinite while it does not answer
    redis_outage: int = 0  # its number while Redis is away, else 0
    _lock: Lock = field(default_factory=Lock)

    def accept(self, identity: str, fate: Fate, *, replayed: bool) -> None:
        """An answer has arrived: this is kept."""
        with self._lock:
            self.fates[identity] = fate
            self.counts["accepted"] += 1
            self.counts["replayed"] += replayed

    def refuse(self, what: str) -> None:
        """An answer that breaks a promise by itself."""
        with self._lock:
            self.refusals.append(what)

    def count(self, what: str) -> None:
        """One more."""
        with self._lock:
            self.counts[what] += 1

    def note_without_redis(self, at: float, *, accepted: bool) -> None:
        """A post of a job was answered, whatever the answer, while Redis was away."""
        with self._lock:
            self.posted_without_redis.append(at)
            self.counts["accepted without Redis"] += accepted

    def lose_sight(self) -> None:
        """The database does not answer; nobody sends more until it does."""
        self.unfinished = math.inf
