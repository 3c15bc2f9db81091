"""How long jobs stood still when their worker was lost, and what of their work was done again."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from core.domain.job import JobState
from tests.chaos.evidence import Evidence
from tests.chaos.history import Change
from tests.chaos.monkey import POSTGRES_STOPPED
from tests.chaos.stack import Pace

GRACE_SECONDS = 5.0  # of a crowded machine, beside what the timings give


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
    for job_id, changes in by_job(evidence.history).items():
        lost: Change | None = None
        for change in changes:
            if is_lost(change):
                lost = change
            elif claims(change) and lost is not None:
                assert lost.lease_before is not None
                lapsed_at, claimed_at = lost.lease_before.timestamp(), change.at.timestamp()
                yield Recovery(
                    job_id=job_id,
                    alive_at=lapsed_at - evidence.pace.lease,
                    lapsed_at=lapsed_at,
                    queued_at=lost.at.timestamp(),
                    claimed_at=claimed_at,
                    away=broken_seconds(evidence, {POSTGRES_STOPPED}, lapsed_at, claimed_at),
                )
                lost = None


def repeated(changes: Sequence[Change]) -> Iterator[int]:
    """Timesteps of one job that were told and not kept, or told again, by each attempt that lost its lease."""
    for place, lost in enumerate(changes):
        if not is_lost(lost):
            continue
        told = [one.timestep for one in changes[:place] if one.fence == lost.fence and _moves(one)]
        if not told:
            yield 0
            continue
        kept = 0 if lost.checkpoint_key is None else kept_timestep(lost.checkpoint_key)
        later = next((one.timestep for one in changes[place + 1 :] if _moves(one)), told[-1] + 1)
        yield max(told[-1] - kept, told[-1] - later + 1, 0)


def claims(change: Change) -> bool:
    """Whether an attempt begins."""
    return change.state_before == JobState.QUEUED and change.state == JobState.RUNNING


def kept_timestep(checkpoint_key: str) -> int:
    """The timestep after which this checkpoint was made."""
    return int(checkpoint_key.rpartition("-")[2])


def is_lost(change: Change) -> bool:
    """Whether an attempt's lease has passed and somebody has noticed."""
    return _returns(change) and has_lapsed(change)


def has_lapsed(change: Change) -> bool:
    """Whether the lease had passed when this was written."""
    return change.lease_before is not None and change.lease_before <= change.at


def allowed_seconds(pace: Pace) -> float:
    """From the last beat of a lost attempt to the next: the promise's 90 seconds, in proportion to lease and sweep."""
    return min(90.0, 90 / 75 * (pace.lease + pace.sweep) + GRACE_SECONDS)


def broken_seconds(evidence: Evidence, names: Collection[str], begin: float, end: float) -> float:
    """How long between two moments any of the deeds of these names lasted."""
    total = 0.0
    for deed in sorted(evidence.deeds, key=lambda deed: deed.at):
        if deed.name in names and deed.until > begin:
            total += max(0.0, min(end, deed.until) - max(begin, deed.at))
            begin = max(begin, min(end, deed.until))
    return total


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of these numbers that at least this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _returns(change: Change) -> bool:
    return change.state_before == JobState.RUNNING and change.state == JobState.QUEUED


def _moves(change: Change) -> bool:
    return change.state == JobState.RUNNING and change.timestep != change.timestep_before
