"""Ends that somebody asked for, by a cancel or by a deadline, and how soon they came."""

from collections.abc import Collection
from statistics import median

from core.domain.job import JobState
from tests.chaos.evidence import Evidence
from tests.chaos.history import Change
from tests.chaos.ledger import Fate
from tests.chaos.monkey import POSTGRES_STOPPED, STORM, WORKER_STOPPED
from tests.chaos.recovery import GRACE_SECONDS, allowed_seconds, broken_seconds, by_job, claims, has_lapsed
from tests.chaos.studio import LONGEST_TIMESTEP_SECONDS
from tests.chaos.verdicts import FINAL, Verdict


def cancels_are_heeded(evidence: Evidence) -> Verdict:
    """P8: nothing begins after somebody has asked to cancel it, and what runs then ends soon, even if it succeeds.

    Soon is a heartbeat and a timestep; where the lease ran out meanwhile, as soon as a lost attempt is noticed. What is
    canceled in the queue stays so by P2.
    """
    waited, seconds, broken = 0, [], []
    for job_id, changes in by_job(evidence.history).items():
        asked = [change for change in changes if change.cancel_requested]
        waited += changes[-1].state == JobState.CANCELED and not asked
        if any(claims(change) for change in asked):
            broken.append(f"{job_id} was begun though it was to be canceled")
        end = _end(asked)
        if end is None:
            continue
        took = _seconds(evidence, asked[0].at.timestamp(), end.at.timestamp())
        allowed = _prompt_seconds(evidence, asked)
        seconds.append(took)
        if took > allowed:
            broken.append(
                f"{job_id} ended as {end.state} {took:.1f} s after it was to be canceled, allowed {allowed:.1f} s"
            )
    seen = f"{waited} never started, {len(seconds)} ran and ended {median(seconds or [0]):.1f} s later (median), "
    seen += f"{max(seconds, default=0):.1f} s at most, without the time in which database or object store were broken"
    return Verdict("P8 cancels", seen, broken)


def deadlines_are_kept(evidence: Evidence) -> Verdict:
    """What has a deadline ends by it or at the next sweep, whether it succeeds or not."""
    allowed = evidence.pace.sweep + GRACE_SECONDS
    late, broken = [], []
    for job_id, changes in by_job(evidence.history).items():
        job, end = evidence.jobs[job_id], _end(changes)
        if job["deadline_at"] is None:
            if evidence.ledger.fates.get(job_id) is Fate.EXPIRES:
                broken.append(f"{job_id} has lost its deadline")
        elif end is not None:
            late.append(_seconds(evidence, job["deadline_at"].timestamp(), end.at.timestamp()))
            if late[-1] > allowed:
                broken.append(
                    f"{job_id} ended as {end.state} {late[-1]:.1f} s after its deadline, allowed {allowed:.1f} s"
                )
    seen = f"{len(late)} jobs, the last of them {max(late, default=0):.1f} s after its deadline"
    return Verdict("P8 deadlines", seen, broken)


def _end(changes: Collection[Change]) -> Change | None:
    return next((change for change in changes if change.state in FINAL), None)


def _prompt_seconds(evidence: Evidence, asked: Collection[Change]) -> float:
    pace = evidence.pace
    if any(has_lapsed(change) for change in asked):
        return allowed_seconds(pace)
    return pace.heartbeat + LONGEST_TIMESTEP_SECONDS + GRACE_SECONDS


def _seconds(evidence: Evidence, begin: float, end: float) -> float:
    """From one moment to another, without the time in which nobody could have written the end."""
    # Where there is one worker, nobody ends what it holds while it stands still.
    alone = {WORKER_STOPPED} if evidence.workers == 1 else set()
    return end - begin - broken_seconds(evidence, {POSTGRES_STOPPED, STORM, *alone}, begin, end)
