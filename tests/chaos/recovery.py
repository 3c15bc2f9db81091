"""How long jobs stood still when their worker was lost or drained, and what of their work was done again."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from core.domain.job import JobState
from tests.chaos.evidence import Evidence
from tests.chaos.history import Change
from tests.chaos.monkey import POSTGRES_STOPPED, WORKER_DRAINED, Deed


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One attempt that lost its lease, and the next; moments in seconds of the epoch."""

    job_id: str
    alive_at: float  # the last beat of the lost attempt
    lapsed_at: float
    queued_at: float
    claimed_at: float
    away: float  # seconds since the lease lapsed in which the database was stopped

    @property
    def seconds(self) -> float:
        """From the last sign of life to the next attempt."""
        return self.claimed_at - self.alive_at

    @property
    def answered(self) -> float:
        """The same without the time in which nobody could have claimed anything."""
        return self.seconds - self.away


def by_job(history: Sequence[Change]) -> Mapping[str, list[Change]]:
    """The changes of each job, in order."""
    changes: dict[str, list[Change]] = defaultdict(list)
    for change in history:
        changes[change.job_id].append(change)
    return changes


def recoveries(evidence: Evidence) -> Iterator[Recovery]:
    """Of every attempt that has lost its lease and was followed by another."""
    stopped = [deed for deed in evidence.deeds if deed.name == POSTGRES_STOPPED]
    for job_id, changes in by_job(evidence.history).items():
        lost: Change | None = None
        for change in changes:
            if is_lost(change):
                lost = change
            elif _claims(change) and lost is not None:
                assert lost.lease_before is not None
                lapsed_at, claimed_at = lost.lease_before.timestamp(), change.at.timestamp()
                yield Recovery(
                    job_id=job_id,
                    alive_at=lapsed_at - evidence.pace.lease,
                    lapsed_at=lapsed_at,
                    queued_at=lost.at.timestamp(),
                    claimed_at=claimed_at,
                    away=_overlap(stopped, lapsed_at, claimed_at),
                )
                lost = None


def handovers(evidence: Evidence) -> Iterator[float]:
    """Seconds from SIGTERM to the next attempt, of every attempt that was given back."""
    drains = [deed.at for deed in evidence.deeds if deed.name == WORKER_DRAINED]
    for changes in by_job(evidence.history).values():
        released: float | None = None
        for before, change in pairwise(changes):
            if _returns(change) and change.attempt < before.attempt:
                released = max((at for at in drains if at <= change.at.timestamp()), default=None)
            elif _claims(change) and released is not None:
                yield change.at.timestamp() - released
                released = None


def repeated(changes: Sequence[Change]) -> Iterator[int]:
    """Timesteps of one job that were told and not kept, or told again, by each attempt that lost its lease."""
    for place, lost in enumerate(changes):
        if not is_lost(lost):
            continue
        told = [one.timestep for one in changes[:place] if one.fence == lost.fence and _moves(one)]
        if not told:
            yield 0
            continue
        kept = 0 if lost.checkpoint_key is None else int(lost.checkpoint_key.rpartition("-")[2])
        later = next((one.timestep for one in changes[place + 1 :] if _moves(one)), told[-1] + 1)
        yield max(told[-1] - kept, told[-1] - later + 1, 0)


def is_lost(change: Change) -> bool:
    """Whether an attempt's lease has passed and somebody has noticed."""
    return _returns(change) and change.lease_before is not None and change.lease_before <= change.at


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of these numbers that at least this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _returns(change: Change) -> bool:
    return change.state_before == JobState.RUNNING and change.state == JobState.QUEUED


def _moves(change: Change) -> bool:
    return change.state == JobState.RUNNING and change.timestep != change.timestep_before


def _claims(change: Change) -> bool:
    return change.state_before == JobState.QUEUED and change.state == JobState.RUNNING


def _overlap(deeds: Sequence[Deed], begin: float, end: float) -> float:
    return sum(max(0.0, min(end, deed.until) - max(begin, deed.at)) for deed in deeds)
