"""What the repository of jobs promises, kept in plain memory: the oracle of the state machine's test.

It counts transactions instead of reading a clock, and knows no SQL.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from core.domain.errors import ErrorCode
from core.domain.job import JobClass, JobKind, JobState

_QUEUED_OR_RUNNING = {JobState.QUEUED, JobState.RUNNING}


@final
@dataclass(kw_only=True)
class Expected:
    """A job as it should stand; moments are numbers of transactions."""

    id: str
    tenant: str
    kind: JobKind
    job_class: JobClass
    max_attempts: int
    created: int
    state: JobState
    work: str = ""  # equal work of one tenant is done once
    queued: int | None = None
    fence: int = 0
    attempt: int = 0
    cancel_requested: bool = False
    depends_on: str | None = None
    leader: str | None = None
    checkpoint: str | None = None
    checkpoint_fence: int = 0  # of the attempt that wrote it
    code: str | None = None
    result: str | None = None  # the object key of what it came to
    deleted: bool = False
    lapsed: bool = False  # its lease has passed
    late: bool = False  # its deadline has


@final
class Memory:
    """All jobs by id."""

    def __init__(self) -> None:
        self.jobs: dict[str, Expected] = {}
        self.objects: set[str] = set()
        self._now = 0

    def add_inversion(self, job: Expected) -> None:
        """Queued, unless equal work is under way or done."""
        self._enter(job)
        root = next(
            (
                one.leader or one.id
                for one in self.jobs.values()
                if (one.tenant, one.work) == (job.tenant, job.work)
                and (one.result is not None or (one.leader is None and one.state in _QUEUED_OR_RUNNING))
            ),
            None,
        )
        self.jobs[job.id] = job
        if root is None:
            self._queue(job)
            return
        job.state, job.leader = JobState.WAITING, root
        if self.jobs[root].state is JobState.QUEUED and job.job_class is JobClass.INTERACTIVE:
            self.jobs[root].job_class = JobClass.INTERACTIVE
        if self.jobs[root].state is JobState.SUCCEEDED:
            self._share(job, next(one.result for one in self._group(root) if one.result is not None))

    def add_edit(self, job: Expected) -> None:
        """Waits for its inversion, unless that is done."""
        self._enter(job)
        self.jobs[job.id] = job
        if self.jobs[job.depends_on or ""].state is JobState.SUCCEEDED:
            self._queue(job)

    def editable(self, job_id: str) -> bool:
        """Whether an edit of this inversion is accepted."""
        job = self.jobs[job_id]
        return not job.state.final or job.result is not None

    def claim(self, classes: Collection[JobClass], *, suspects: bool) -> Expected | None:
        """Interactive before batch, then the tenant with the fewest running, then the oldest that may be taken."""
        self._now += 1
        running = Counter(job.tenant for job in self._in(JobState.RUNNING))
        wanted = [job for job in self._in(JobState.QUEUED) if job.job_class in classes]
        queued = sorted(wanted, key=lambda job: (job.queued, job.id))
        heads = {(job.job_class, job.tenant): job.queued for job in reversed(queued)}

        def turn(job: Expected) -> tuple[bool, int, int | None]:
            head = heads[job.job_class, job.tenant]
            return job.job_class is JobClass.BATCH, running[job.tenant], head

        free = [job for job in queued if not job.late and (suspects or not _is_suspect(job))]
        job = min(free, key=lambda job: (*turn(job), job.tenant), default=None)
        if job is not None:
            job.state, job.fence, job.attempt, job.lapsed = JobState.RUNNING, job.fence + 1, job.attempt + 1, False
        return job

    def holds(self, job_id: str, fence: int) -> Expected | None:
        """The running job, if this is the fence of its newest claim."""
        self._now += 1
        job = self.jobs[job_id]
        return job if job.state is JobState.RUNNING and job.fence == fence else None

    def release(self, job: Expected, *, attempt: int) -> None:
        """Back to its old place; a cancellation that was asked for comes true."""
        job.state, job.attempt = JobState.QUEUED, attempt
        if job.cancel_requested:
            self.end(job, JobState.CANCELED, code=ErrorCode.CANCELED)

    def end(self, job: Expected, state: JobState, *, code: str | None = None, result: str | None = None) -> None:
        """The one final state, and what it means for those that waited."""
        job.state, job.code, job.result = state, code, result
        if job.kind is not JobKind.INVERSION:
            return
        followers = [one for one in self._in(JobState.WAITING) if one.leader == job.id]
        if result is None:
            self._promote(followers)
            for edit in self._waiting_for(job):
                self.end(edit, JobState.FAILED, code=ErrorCode.INVERSION_FAILED)
            return
        for one in (job, *followers):
            self._share(one, result)

    def cancel(self, job_id: str) -> None:
        """A running job is asked to stop, any other unfinished one ends."""
        self._now += 1
        job = self.jobs[job_id]
        if job.state is JobState.RUNNING:
            job.cancel_requested = True
        elif not job.state.final:
            self.end(job, JobState.CANCELED, code=ErrorCode.CANCELED)

    def sweep(self) -> None:
        """Leases that have passed, then deadlines; edits before inversions."""
        self._now += 1
        for job in [one for one in self._in(JobState.RUNNING) if one.lapsed]:
            most = job.max_attempts + (_has_moved(job) and job.max_attempts > 1)
            if job.cancel_requested:
                self.end(job, JobState.CANCELED, code=ErrorCode.CANCELED)
            elif job.attempt >= most:
                only = job.max_attempts == 1
                self.end(job, JobState.FAILED, code=ErrorCode.WORKER_LOST if only else ErrorCode.POISON)
            else:
                job.state, job.max_attempts = JobState.QUEUED, most
        for job in sorted(self.jobs.values(), key=lambda one: one.kind):
            if job.late and not job.state.final:
                self.end(job, JobState.EXPIRED, code=ErrorCode.DEADLINE)

    def deletable(self, job_id: str) -> bool:
        """Whether it is final and no unfinished edit needs it."""
        needed = any(one.depends_on == job_id and not one.state.final for one in self.jobs.values())
        return self.jobs[job_id].state.final and not needed

    def delete(self, job_id: str) -> None:
        """A tombstone; the object goes with the last job that shares it."""
        self._now += 1
        job = self.jobs[job_id]
        key, job.result, job.checkpoint, job.deleted = job.result, None, None, True
        if key is not None and all(one.result != key for one in self.jobs.values()):
            self.objects.discard(key)

    def _enter(self, job: Expected) -> None:
        self._now += 1
        job.created = self._now

    def _queue(self, job: Expected, *, since: int | None = None) -> None:
        job.state, job.queued = JobState.QUEUED, self._now if since is None else since

    def _share(self, job: Expected, result: str) -> None:
        job.state, job.result = JobState.SUCCEEDED, result
        for edit in self._waiting_for(job):
            # A batch's edit stands in line since it was accepted.
            self._queue(edit, since=edit.created if edit.job_class is JobClass.BATCH else None)

    def _promote(self, followers: list[Expected]) -> None:
        if followers:
            first = min(followers, key=lambda one: (one.created, one.id))
            for one in followers:
                one.leader = first.id
            first.leader = None
            self._queue(first)

    def _waiting_for(self, job: Expected) -> list[Expected]:
        return [one for one in self._in(JobState.WAITING) if one.depends_on == job.id]

    def _group(self, root: str) -> list[Expected]:
        return [one for one in self.jobs.values() if root in {one.id, one.leader}]

    def _in(self, state: JobState) -> list[Expected]:
        return [job for job in self.jobs.values() if job.state is state]


def _has_moved(job: Expected) -> bool:
    return job.checkpoint is not None and job.checkpoint_fence == job.fence


def _is_suspect(job: Expected) -> bool:
    return job.attempt >= min(2, job.max_attempts - 1) > 0 and not _has_moved(job)
