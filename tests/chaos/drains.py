"""What became of the jobs that a worker held when it was drained."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from core.domain.job import JobState
from tests.chaos.evidence import Evidence
from tests.chaos.history import Change
from tests.chaos.monkey import POSTGRES_STOPPED, STORM, WORKER_DRAINED, Deed
from tests.chaos.recovery import broken_seconds, by_job, claims, has_lapsed, percentile
from tests.chaos.studio import Role
from tests.chaos.verdicts import Verdict

_ALLOWED_SECONDS = 10.0
_DRAIN_SECONDS = 8.0  # the worker's own: five for its jobs to come to a timestep, three to give back what did not


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A job that a drained worker held; what went wrong, if anything, and how long it took to the next attempt."""

    job_id: str
    fault: str | None = None
    excused: bool = False  # the fault is that of servers, which were away
    seconds: float | None = None  # None where it needed no other attempt
    answered: float = 0.0  # the same without the time in which the database was stopped


def drained_workers_hand_over(evidence: Evidence) -> Verdict:
    """P3: from SIGTERM to the next attempt, and no attempt is used up. SQLite does not tell who holds what."""
    drains = [deed for deed in evidence.deeds if deed.name == WORKER_DRAINED]
    found = [one for deed in drains for one in _handovers(evidence, deed)]
    waits = sorted(one.seconds for one in found if one.seconds is not None)
    p99 = percentile(sorted(one.answered for one in found if one.seconds is not None), 0.99)
    seen = f"{len(drains)} workers drained, which held {len(found)} jobs; {len(waits)} handed over, "
    seen += f"{sum(one.excused for one in found)} could not be while servers were away, "
    seen += f"p99 {percentile(waits, 0.99):.1f} s, without the time in which the database was stopped {p99:.1f} s, "
    seen += f"allowed {_ALLOWED_SECONDS:g} s"
    broken = [f"{one.job_id} {one.fault}" for one in found if one.fault is not None]
    if p99 > _ALLOWED_SECONDS:
        broken.append(f"p99 is {p99:.1f} s")
    if drains and evidence.workers > 1 and not any(change.writer for change in evidence.history):
        broken.append("nobody knows which jobs they held")
    return Verdict("P3 a drained worker's jobs go on", seen, broken)


def _handovers(evidence: Evidence, drain: Deed) -> Iterator[Handover]:
    held = {
        job_id: later
        for job_id, changes in by_job(evidence.history).items()
        if (later := _since(changes, drain)) is not None
    }
    roles = {job_id: Role.of(evidence.jobs[job_id]["seed"]) for job_id in held}
    if Role.POISON in roles.values():
        return  # it did not live to hand over anything
    for job_id, later in held.items():
        # One that stands still loses its lease by itself.
        if roles[job_id] is not Role.STALL:
            yield _judged(evidence, drain, later)


def _since(changes: Sequence[Change], drain: Deed) -> Sequence[Change] | None:
    """The attempt of the drained worker that had not ended before, and what came after it."""
    for place, one in enumerate(changes):
        if claims(one) and one.writer == str(drain.worker):
            ended = _left(changes[place:])
            if ended is None or ended.at.timestamp() >= drain.at:
                return changes[place:]
    return None


def _left(changes: Sequence[Change]) -> Change | None:
    return next((one for one in changes if one.state != JobState.RUNNING), None)


def _judged(evidence: Evidence, drain: Deed, later: Sequence[Change]) -> Handover:
    end = _left(later)
    job_id = later[0].job_id
    if end is None or end.state != JobState.QUEUED or end.attempt >= later[0].attempt:
        fault = _fault(later)
        excused = fault is not None and _is_excused(evidence, drain, later)
        return Handover(job_id=job_id, fault=None if excused else fault, excused=excused)
    again = next((one for one in later[1:] if claims(one)), None)
    if again is None:
        return Handover(job_id=job_id)
    claimed_at = again.at.timestamp()
    seconds = claimed_at - drain.at
    away = broken_seconds(evidence, {POSTGRES_STOPPED}, drain.at, claimed_at)
    return Handover(job_id=job_id, seconds=seconds, answered=seconds - away)


def _fault(later: Sequence[Change]) -> str | None:
    """Of an attempt that was not given back as it should be; None where it had ended first."""
    end = _left(later)
    if end is None:
        return "was never handed over"
    if has_lapsed(end):
        return "was not handed over until its lease had passed"
    return None if end.state != JobState.QUEUED else "has used up an attempt at its handing over"


def _is_excused(evidence: Evidence, drain: Deed, later: Sequence[Change]) -> bool:
    if _left(later) is None:
        return False
    beats = [one.at.timestamp() for one in later if one.at.timestamp() <= drain.at]
    if beats and drain.at - beats[-1] > evidence.pace.lease / 2:
        return True  # the worker could not even beat for it
    return broken_seconds(evidence, {POSTGRES_STOPPED, STORM}, drain.at, drain.at + _DRAIN_SECONDS) > 0
