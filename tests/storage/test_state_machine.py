"""Any sequence of what callers, workers and the sweeper do, on each database, beside the same in plain memory."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select, update

from core.domain.errors import Conflict, ErrorCode
from core.domain.job import TRANSITIONS, Artifact, Job, JobClass, JobError, JobKind, JobState, Progress
from core.domain.ports import Claim, Outcome
from core.domain.watching import EventKind
from core.storage.database import SqlDatabase
from core.storage.rows import to_job
from core.storage.tables import events, jobs
from core.usecases.jobs import cancel_job, delete_job, retry_job
from core.usecases.requests import Order
from tests.stack.fakes import finish, try_claim
from tests.stack.memory import Expected, Memory
from tests.stack.submitting import Caller

_TENANTS = st.sampled_from(["acme", "other"])
_CLASSES = st.sampled_from(JobClass)
_PAST = timedelta(hours=1)
_ERRORS = {
    JobState.FAILED: JobError(code=ErrorCode.DIVERGED, detail="The loss is not a number.", retryable=False),
    JobState.CANCELED: JobError(code=ErrorCode.CANCELED, detail="The caller canceled this job.", retryable=True),
}


def test_every_sequence_of_events_leaves_the_jobs_as_promised(database: SqlDatabase, caller: Caller) -> None:
    budget = settings(
        max_examples=20,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(lambda: _Machine(database, caller), settings=budget)  # type: ignore[arg-type]


@final
class _Machine(RuleBasedStateMachine):
    """Does everything twice: in the database, and in memory."""

    some = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self, database: SqlDatabase, caller: Caller) -> None:
        super().__init__()
        self.database, self.caller, self.memory = database, caller, Memory()
        self.shades: dict[str, int] = {}  # of the picture of each inversion
        with database.engine.begin() as connection:
            connection.execute(delete(events))
            connection.execute(delete(jobs))
        for tenant in ("acme", "other"):
            for key in list(caller.store.list(f"{tenant}/jobs/")):
                caller.store.delete(key)

    @rule(
        target=some,
        tenant=_TENANTS,
        shade=st.sampled_from([0, 0, 0, 1]),
        job_class=_CLASSES,
        attempts=st.integers(1, 3),
    )
    def submit_an_inversion(self, tenant: str, shade: int, job_class: JobClass, attempts: int) -> str:
        order = Order(tenant=tenant, job_class=job_class, max_attempts=attempts)
        return self._inversion(self.caller.invert(order, shade), shade)

    @rule(target=some, job=some)
    def submit_a_duplicate(self, job: str) -> Any:
        if job not in self.shades:
            return multiple()
        order, shade = Order(tenant=self.memory.jobs[job].tenant), self.shades[job]
        return self._inversion(self.caller.invert(order, shade), shade)

    @precondition(lambda self: self.memory.jobs)
    @rule(target=some, job=some, job_class=_CLASSES, attempts=st.integers(1, 3))
    def submit_an_edit(self, job: str, job_class: JobClass, attempts: int) -> Any:
        inversion = self.memory.jobs[job]
        if inversion.kind is not JobKind.INVERSION:
            return multiple()
        order = Order(tenant=inversion.tenant, job_class=job_class, max_attempts=attempts)
        return self._edit(inversion, lambda: self.caller.edit(job, order))

    @rule(target=some, job=some)
    def retry(self, job: str) -> Any:
        old = self.memory.jobs[job]
        order = Order(tenant=old.tenant, max_attempts=old.max_attempts)

        def submit() -> Job:
            return retry_job(self.database, self.caller.wakeups, self.caller.model, order=order, job_id=job)

        if not old.state.final or old.state is JobState.SUCCEEDED:
            _refused(submit)
            return multiple()
        if old.kind is JobKind.INVERSION:
            return self._inversion(submit(), self.shades[job])
        return self._edit(self.memory.jobs[old.depends_on or ""], submit)

    @rule(target=claims, classes=st.sampled_from([list(JobClass), [JobClass.INTERACTIVE]]), suspects=st.booleans())
    def claim(self, classes: list[JobClass], suspects: bool) -> Any:  # noqa: FBT001 - hypothesis passes by name
        model = dict(self.caller.model.identity)
        claimed = try_claim(self.database, tuple(classes), model=model, suspects=suspects)
        expected = self.memory.claim(classes, suspects=suspects)
        if claimed is None or expected is None:
            assert claimed is None
            assert expected is None
            return multiple()
        assert (claimed.job.id, claimed.fence) == (expected.id, expected.fence)
        return claimed

    @rule(target=claims)
    def do_the_next(self) -> Any:
        claimed = self.claim(list(JobClass), suspects=True)
        if isinstance(claimed, Claim):
            self.finish(claimed, JobState.SUCCEEDED)
        return claimed

    @rule(claimed=claims)
    def beat(self, claimed: Claim) -> None:
        with self.database.begin() as uow:
            answer = uow.jobs.beat(claimed, Progress(timestep=1, timesteps=5), lease_seconds=60)
            uow.commit()
        held = self.memory.holds(claimed.job.id, claimed.fence)
        if held is not None:
            held.lapsed = False
        assert (answer.alive, answer.cancel_requested) == (held is not None, held is not None and held.cancel_requested)

    @rule(claimed=claims, timestep=st.integers(1, 5))
    def checkpoint(self, claimed: Claim, timestep: int) -> None:
        key = f"{claimed.job.folder}{claimed.fence}/checkpoint-{timestep}"
        with self.database.begin() as uow:
            kept = uow.jobs.save_checkpoint(claimed, key, Progress(timestep=timestep, timesteps=5))
            uow.commit()
        held = self.memory.holds(claimed.job.id, claimed.fence)
        if held is not None:
            held.checkpoint, held.checkpoint_fence = key, held.fence
        assert kept == (held is not None)

    @rule(claimed=claims, state=st.sampled_from([*3 * [JobState.SUCCEEDED], *_ERRORS]))
    def finish(self, claimed: Claim, state: JobState) -> None:
        key = f"{claimed.job.folder}{claimed.fence}/result"
        outcome = Outcome(state=state, error=_ERRORS.get(state))
        if state is JobState.SUCCEEDED:
            self.caller.store.put(key, b"", media_type="text/plain")
            self.memory.objects.add(key)
            outcome = Outcome(state=state, artifacts=(_artifact(key),))
        done = finish(self.database, claimed, outcome)
        held = self.memory.holds(claimed.job.id, claimed.fence)
        if held is not None:
            held.checkpoint = None
            succeeded, error = state is JobState.SUCCEEDED, outcome.error
            self.memory.end(held, state, code=None if error is None else error.code, result=key if succeeded else None)
        assert done == (held is not None)

    @rule(claimed=claims, count_attempt=st.booleans())
    def release(self, claimed: Claim, count_attempt: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        with self.database.begin() as uow:
            released = uow.jobs.release(claimed, count_attempt=count_attempt)
            uow.commit()
        held = self.memory.holds(claimed.job.id, claimed.fence)
        if held is not None:
            self.memory.release(held, attempt=held.attempt if count_attempt else held.attempt - 1)
        assert released == (held is not None)

    @rule(job=some)
    def cancel(self, job: str) -> None:
        cancel_job(self.database, self.caller.wakeups, self.memory.jobs[job].tenant, job_id=job)
        self.memory.cancel(job)

    @rule(job=some)
    def delete(self, job: str) -> None:
        def remove() -> None:
            delete_job(self.database, self.caller.store, self.memory.jobs[job].tenant, job_id=job)

        if self.memory.deletable(job):
            remove()
            self.memory.delete(job)
        else:
            _refused(remove)

    @rule(claimed=claims)
    def a_lease_passes(self, claimed: Claim) -> None:
        held = self.memory.holds(claimed.job.id, claimed.fence)
        if held is not None:
            held.lapsed = True
            self._set_past(held.id, "lease_until")

    @rule(job=some)
    def a_deadline_passes(self, job: str) -> None:
        # One at a time: of several the sweeper may take a leader or its follower first.
        if not any(one.late and not one.state.final for one in self.memory.jobs.values()):
            self.memory.jobs[job].late = True
            self._set_past(job, "deadline_at")

    @rule()
    def sweep(self) -> None:
        with self.database.begin() as uow:
            uow.jobs.expire_leases(limit=1000)
            uow.jobs.expire_deadlines(limit=1000)
            uow.commit()
        self.memory.sweep()

    @invariant()
    def every_job_is_as_expected(self) -> None:
        with self.database.engine.connect() as connection:
            found = [to_job(row) for row in connection.execute(select(jobs))]

        assert {job.id: _of_row(job) for job in found} == {
            job_id: _of_memory(job) for job_id, job in self.memory.jobs.items()
        }

    @invariant()
    def every_object_is_as_expected(self) -> None:
        stored = {key for tenant in ("acme", "other") for key in self.caller.store.list(f"{tenant}/jobs/")}

        assert stored == self.memory.objects

    def teardown(self) -> None:
        with self.database.engine.connect() as connection:
            rows = connection.execute(
                select(events.c.job_id, events.c.state)
                .where(events.c.kind == EventKind.STATE)
                .order_by(events.c.number)
            ).all()
        passed: dict[str, JobState] = {}
        for job_id, entered in rows:
            assert job_id not in passed or JobState(entered) in TRANSITIONS[passed[job_id]]
            passed[job_id] = JobState(entered)

    def _inversion(self, job: Job, shade: int) -> str:
        self.shades[job.id] = shade
        self.memory.add_inversion(_new(job, work=job.work_key or ""))
        return job.id

    def _edit(self, inversion: Expected, submit: Callable[[], Job]) -> Any:
        if not self.memory.editable(inversion.id):
            _refused(submit)
            return multiple()
        job = submit()
        self.memory.add_edit(_new(job, depends_on=inversion.id))
        return job.id

    def _set_past(self, job_id: str, column: str) -> None:
        with self.database.begin() as uow:
            past = uow.now() - _PAST
        with self.database.engine.begin() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values({column: past}))


def _new(job: Job, **changes: Any) -> Expected:
    """What a caller has asked for, and nothing of what became of it."""
    return Expected(
        id=job.id,
        tenant=job.tenant,
        kind=job.kind,
        job_class=job.job_class,
        max_attempts=job.max_attempts,
        created=0,
        state=JobState.WAITING,
        **changes,
    )


def _of_row(job: Job) -> tuple[object, ...]:
    return (
        *(job.state, job.fence, job.attempt, job.cancel_requested, job.depends_on, job.leader, job.checkpoint_key),
        None if job.error is None else job.error.code,
        [artifact.key for artifact in job.artifacts],
        job.deleted_at is not None,
    )


def _of_memory(job: Expected) -> tuple[object, ...]:
    return (
        *(
            job.state,
            job.fence,
            job.attempt,
            job.cancel_requested,
            job.depends_on,
            job.leader,
            job.checkpoint,
            job.code,
        ),
        [] if job.result is None else [job.result],
        job.deleted,
    )


def _artifact(key: str) -> Artifact:
    return Artifact(name="result", media_type="text/plain", bytes=0, sha256="0" * 64, key=key)


def _refused(call: Callable[[], object]) -> None:
    with pytest.raises(Conflict):
        call()
