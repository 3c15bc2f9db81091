"""The promises one by one: what of each was seen, and what broke it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import final

from core.domain.job import JobState
from core.domain.webhooks import DeliveryState
from tests.chaos.evidence import Evidence, Row
from tests.chaos.ledger import Fate
from tests.chaos.monkey import POSTGRES_STOPPED, STORM, WORKER_STOPPED
from tests.chaos.recovery import (
    GRACE_SECONDS,
    Recovery,
    allowed_seconds,
    broken_seconds,
    by_job,
    kept_timestep,
    percentile,
    recoveries,
    repeated,
)
from tests.chaos.studio import Role

FINAL = frozenset(state.value for state in JobState if state.final)


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What was seen of one promise; it holds where nothing broke it."""

    promise: str
    seen: str
    broken: Sequence[str] = ()


def nothing_is_lost(evidence: Evidence) -> Verdict:
    """P1: what was accepted is there, and has ended."""
    known = evidence.jobs.keys() | evidence.batches.keys()
    gone = [f"{identity} was accepted and is not there" for identity in evidence.ledger.fates if identity not in known]
    open_jobs = [f"{job['id']} is {job['state']}" for job in evidence.jobs.values() if job["state"] not in FINAL]
    open_batches = [f"{one['id']} has not ended" for one in evidence.batches.values() if one["ended_at"] is None]
    seen = f"{len(evidence.jobs)} jobs in {len(evidence.ledger.fates)} accepted posts"
    return Verdict("P1 accepted jobs are not lost", seen, [*gone, *open_jobs, *open_batches])


def each_ends_once(evidence: Evidence) -> Verdict:
    """P2: one final transition and one result per job, the one of the attempt that ended it."""
    broken, ended = [], 0
    for job_id, changes in by_job(evidence.history).items():
        ends = [change for change in changes if change.state in FINAL and change.state_before not in FINAL]
        ended += bool(ends)
        after = [change for change in changes if change.state_before in FINAL]
        if len(ends) > 1 or any(change.state != change.state_before or change.result_changed for change in after):
            broken.append(f"{job_id} has ended more than once")
    for job in evidence.jobs.values():
        broken += [f"{key} is another attempt's" for key in _foreign_results(evidence, job)]
    results = sum(len(job["artifacts"]) for job in evidence.jobs.values())
    return Verdict("P2 one end, one result", f"{ended} jobs have ended, with {results} artifacts", broken)


def dead_workers_are_replaced(evidence: Evidence) -> Verdict:
    """P3: how long a job stood still, from the last beat of its worker to its next attempt.

    Where there is one worker nobody can take over: what it took is told, and held against nothing.
    """
    found = list(recoveries(evidence))
    waits = sorted(one.seconds for one in found)
    answered = percentile(sorted(one.answered for one in found), 0.99)
    pace, allowed = evidence.pace, allowed_seconds(evidence.pace)
    queued = percentile(sorted(one.queued_at - one.alive_at for one in found), 0.99)
    seen = f"{len(waits)} recoveries, median {median(waits or [0]):.1f} s, p99 {percentile(waits, 0.99):.1f} s, "
    seen += f"longest {max(waits, default=0):.1f} s, back in the queue p99 {queued:.1f} s; "
    seen += f"without the time in which the database was stopped p99 {answered:.1f} s, allowed by a lease of "
    seen += f"{pace.lease:g} s: {allowed:.1f} s"
    late = [_slow(one) for one in sorted(found, key=lambda one: -one.answered) if one.answered > allowed]
    if evidence.workers == 1:
        return Verdict("P3 a dead worker's jobs go on", f"{seen}, were there another worker")
    return Verdict("P3 a dead worker's jobs go on", seen, late if answered > allowed else [])


def little_work_is_repeated(evidence: Evidence) -> Verdict:
    """P4: the timesteps that were done, and were done again."""
    lost = [(job_id, count) for job_id, changes in by_job(evidence.history).items() for count in repeated(changes)]
    spread = Counter(min(count, 2) for _, count in lost)
    seen = f"of {len(lost)} lost attempts {spread[0]} repeated nothing that was told, {spread[1]} one timestep, "
    seen += f"{spread[2]} more"
    broken = [f"{job_id} repeated {count} timesteps" for job_id, count in lost if count > 1]
    return Verdict("P4 at most a timestep is lost", seen, broken)


def only_poison_is_given_up(evidence: Evidence) -> Verdict:
    """P5: a job that kills its workers ends as POISON, and every other as its caller may expect."""
    broken, poisoned = [], 0
    for job in evidence.jobs.values():
        fate = evidence.ledger.fates.get(job["id"], Fate.SUCCEEDS)
        code = (job["error"] or {}).get("code")
        poisoned += code == "POISON"
        if job["state"] in FINAL and not _as_expected(job, fate, code):
            broken.append(f"{job['id']} {fate}, but is {job['state']} {code or ''} after {job['attempt']} attempts")
    attempts = evidence.pace.attempts
    return Verdict("P5 poison alone is given up", f"{poisoned} given up after {attempts} attempts", broken)


def zombies_are_refused(evidence: Evidence) -> Verdict:
    """P6: no checkpoint was kept of an attempt that had lost its lease, nor one of less than was kept before."""
    broken = []
    for job_id, changes in by_job(evidence.history).items():
        for before, after in pairwise(changes):
            key = after.checkpoint_key
            if key is None or key == before.checkpoint_key:
                continue
            if _fence(key) != after.fence:
                broken.append(f"{job_id}: {key} was kept under fence {after.fence}")
            if before.checkpoint_key is not None and kept_timestep(key) < kept_timestep(before.checkpoint_key):
                broken.append(f"{job_id}: {key} was kept after {before.checkpoint_key}")
    stopped = sum(deed.name == WORKER_STOPPED for deed in evidence.deeds)
    return Verdict("P6 a zombie's writes are refused", f"{stopped} workers stopped past their lease", broken)


def a_key_makes_one_job(evidence: Evidence) -> Verdict:
    """P7: no Idempotency-Key has made two jobs."""
    posts = Counter((job["tenant"], job["metadata"]["post"]) for job in evidence.jobs.values() if job["metadata"])
    counts = evidence.ledger.counts
    seen = f"{len(posts)} keys, {counts['accepted']} answers of which {counts['replayed']} were replayed, "
    seen += f"{counts['no answer']} posts without an answer; once 100 at a time"
    return Verdict("P7 one key, one job", seen, [f"{post} made {n} jobs" for post, n in posts.items() if n > 1])


def ends_are_told(evidence: Evidence) -> Verdict:
    """P9: every end that somebody wanted to hear of was accepted, signed, under one id, and the service knows it."""
    wanted = {job["id"] for job in evidence.jobs.values() if job["webhook"] and job["state"] in FINAL}
    wanted |= {one["id"] for one in evidence.batches.values() if one["webhook"] and one["ended_at"]}
    sink = evidence.sink
    deliveries = Counter(row["subject_id"] for row in evidence.deliveries)
    broken = [f"{subject} has {deliveries[subject]} deliveries" for subject in wanted if deliveries[subject] != 1]
    broken += [f"{row['id']} was never accepted" for row in evidence.deliveries if row["id"] not in sink.accepted]
    unknown = [row for row in evidence.deliveries if row["state"] != DeliveryState.DELIVERED]
    broken += [f"{row['id']} is {row['state']} after {row['tries']} tries" for row in unknown]
    broken += [f"{name} is not signed as it should be" for name in sink.forged]
    seen = f"{len(wanted)} ends, {sum(sink.told.values())} tries, {sink.refused} of them refused by the sink, "
    seen += f"{evidence.ledger.counts['sent again']} sent again at the end"
    return Verdict("P9 webhooks", seen, broken)


def redis_is_not_needed(evidence: Evidence) -> Verdict:
    """P10: jobs are accepted while Redis is away, and every look at `/readyz` tells that it is."""
    counts, ledger = evidence.ledger.counts, evidence.ledger
    accepted, asked, told = (counts[f"{what} without Redis"] for what in ("accepted", "asked", "told"))
    # What the database or the object store may have refused is not counted.
    tried = [at for at in ledger.posted_without_redis if not _is_disturbed(evidence, at)]
    broken = list(ledger.refusals)
    if told < asked:
        broken.append(f"{asked - told} looks at /readyz while Redis was away did not name the broker")
    if tried and not accepted:
        broken.append(f"none of {len(tried)} posts was accepted while Redis was away")
    seen = (
        f"{accepted} of {len(ledger.posted_without_redis)} posts accepted while it was away; of {asked} looks at "
        f"/readyz meanwhile {told} named the broker"
    )
    return Verdict("P10 API without Redis", seen, broken)


def _slow(one: Recovery) -> str:
    return (
        f"{one.job_id} took {one.seconds:.1f} s: {one.queued_at - one.lapsed_at:.1f} s from its lease's end to the "
        f"queue, {one.claimed_at - one.queued_at:.1f} s in it; the database was stopped for {one.away:.1f} s of that"
    )


def _foreign_results(evidence: Evidence, job: Row) -> Iterator[str]:
    for artifact in job["artifacts"]:
        owner = evidence.jobs.get(artifact["key"].split("/")[2])
        family = {job["id"], job["leader"]}
        if owner is None or owner["id"] not in family or _fence(artifact["key"]) != owner["fence"]:
            yield artifact["key"]


def _fence(key: str) -> int:
    return int(key.split("/")[3])


def _is_disturbed(evidence: Evidence, at: float) -> bool:
    return broken_seconds(evidence, {POSTGRES_STOPPED, STORM}, at - GRACE_SECONDS, at) > 0


def _as_expected(job: Row, fate: Fate, code: str | None) -> bool:
    state = job["state"]
    if fate is Fate.POISON or (job["kind"] == "inversion" and Role.of(job["seed"]) is Role.POISON):
        return bool(state == JobState.FAILED and code == "POISON" and job["attempt"] == job["max_attempts"])
    allowed = {
        Fate.CANCELED: (JobState.CANCELED, "CANCELED"),
        Fate.EXPIRES: (JobState.EXPIRED, "DEADLINE"),
        Fate.FAILS_ALONG: (JobState.FAILED, "INVERSION_FAILED"),
    }
    return bool(state == JobState.SUCCEEDED or (fate in allowed and (state, code) == allowed[fate]))
