"""What a caller can do with jobs he already has."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.domain.errors import AppError, Conflict, ErrorCode, NotFound
from core.domain.job import Job, JobKind, JobState
from core.domain.ports import JobFilter
from core.storage.database import SqlDatabase
from core.storage.migrate import upgrade
from core.storage.objects_folder import FolderStore
from core.usecases.jobs import cancel_job, delete_job, get_artifact, get_job, list_jobs, retry_job
from core.usecases.sweep import sweep, tidy
from tests.stack.fakes import ARTIFACT, FAILURE, SUCCESS, CountingWakeUps, add_job, cancel, claim, finish, load
from tests.stack.hooked import HookedStore, refuse
from tests.stack.submitting import ACME, Caller


def test_another_tenant_s_job_is_not_found(caller: Caller) -> None:
    job = caller.invert()

    with pytest.raises(NotFound):
        get_job(caller.database, "other", job.id)


def test_a_job_of_another_kind_is_not_found(caller: Caller) -> None:
    job = caller.invert()

    with pytest.raises(NotFound, match="no edit"):
        get_job(caller.database, "acme", job.id, kind=JobKind.EDIT)


def test_a_list_is_read_page_by_page_newest_first(caller: Caller) -> None:
    jobs = [caller.invert(shade=shade) for shade in range(5)]

    first = list_jobs(caller.database, JobFilter(tenant="acme", limit=3))
    last = first[-1]
    rest = list_jobs(caller.database, JobFilter(tenant="acme", limit=3, after=(last.created_at, last.id)))

    assert [job.id for job in (*first, *rest)] == [job.id for job in reversed(jobs)]


def test_a_list_can_be_narrowed(caller: Caller) -> None:
    plain = caller.invert(shade=1)
    marked = caller.invert(replace(ACME, metadata={"campaign's": 'a"b'}), shade=2)
    edit = caller.edit(plain.id)

    def found(**conditions: object) -> set[str]:
        query = JobFilter(tenant="acme", **conditions)  # type: ignore[arg-type]
        return {job.id for job in list_jobs(caller.database, query)}

    assert found(kind=JobKind.EDIT) == {edit.id}
    assert found(state=JobState.QUEUED) == {plain.id, marked.id}
    assert found(method="p2plus") == {edit.id}
    assert found(metadata=(("campaign's", 'a"b'),)) == {marked.id}
    assert found(metadata=(("campaign's", "other"),)) == set()
    assert found(created_after=plain.created_at) == {marked.id, edit.id}
    assert found(created_before=marked.created_at) == {plain.id}


def test_a_canceled_leader_wakes_a_worker_for_its_follower(caller: Caller, wakeups: CountingWakeUps) -> None:
    leader = caller.invert()
    follower = caller.invert()
    sent = wakeups.sent

    canceled, _ = cancel_job(caller.database, wakeups, "acme", job_id=leader.id)

    assert (canceled.state, wakeups.sent) == (JobState.CANCELED, sent + 1)
    assert load(caller.database, follower).state is JobState.QUEUED


def test_canceling_twice_is_no_error(caller: Caller, wakeups: CountingWakeUps) -> None:
    job = caller.invert()

    first, stopped = cancel_job(caller.database, wakeups, "acme", job_id=job.id)

    assert stopped
    assert cancel_job(caller.database, wakeups, "acme", job_id=job.id) == (first, False)


def test_deleting_erases_the_artifacts_and_keeps_a_tombstone(caller: Caller) -> None:
    job = _finished(caller)
    caller.store.put(ARTIFACT.key, b"data", media_type="image/png")

    delete_job(caller.database, caller.store, "acme", job_id=job.id)
    delete_job(caller.database, caller.store, "acme", job_id=job.id)

    assert list(caller.store.list(ARTIFACT.key)) == []
    assert get_job(caller.database, "acme", job.id).deleted_at is not None
    assert list_jobs(caller.database, JobFilter(tenant="acme")) == []


def test_what_a_store_kept_of_a_deleted_job_is_tidied_away(caller: Caller) -> None:
    job = _finished(caller)
    key = f"{job.folder}1/inversion.safetensors"
    tidy(caller.database, caller.store, ended_for=timedelta(0))
    caller.store.put(key, b"data", media_type="image/png")

    delete_job(caller.database, HookedStore(caller.store, deleting=refuse), "acme", job_id=job.id)

    assert tidy(caller.database, caller.store, ended_for=timedelta(0)) == 1
    assert list(caller.store.list(job.folder)) == []


@pytest.mark.parametrize("kept", ["alone", "shared"])
def test_what_is_deleted_while_a_sweep_looks_is_tidied_by_the_next(caller: Caller, kept: str) -> None:
    """Whoever deletes it dies before its objects are erased."""
    job = caller.invert()
    key = f"{job.folder}1/inversion"
    caller.store.put(key, b"data", media_type="image/png")
    claimed = claim(caller.database, model=caller.model.identity)
    finish(caller.database, claimed, replace(SUCCESS, artifacts=(replace(ARTIFACT, key=key),)))
    last = caller.invert() if kept == "shared" else job
    if last is not job:
        delete_job(caller.database, caller.store, "acme", job_id=job.id)
    dying = HookedStore(caller.store, deleting=refuse)
    looked = HookedStore(caller.store, reading=lambda _: delete_job(caller.database, dying, "acme", job_id=last.id))

    tidy(caller.database, looked, ended_for=timedelta(0))
    left = list(caller.store.list(job.folder))
    tidy(caller.database, caller.store, ended_for=timedelta(0))

    assert left == [key]
    assert list(caller.store.list(job.folder)) == []


def test_an_unfinished_job_is_not_deleted(caller: Caller) -> None:
    job = caller.invert()

    with pytest.raises(Conflict) as refused:
        delete_job(caller.database, caller.store, "acme", job_id=job.id)

    assert refused.value.code == ErrorCode.JOB_ACTIVE


def test_an_inversion_that_an_edit_needs_is_not_deleted(caller: Caller) -> None:
    inversion = _finished(caller)
    caller.edit(inversion.id)

    with pytest.raises(Conflict, match="Unfinished edits"):
        delete_job(caller.database, caller.store, "acme", job_id=inversion.id)


def test_an_artifact_is_found_by_name(caller: Caller) -> None:
    job = _finished(caller)

    assert get_artifact(caller.database, "acme", job.id, name="inversion") == ARTIFACT


@pytest.mark.parametrize(
    ("stage", "code"), [("queued", "JOB_NOT_FINISHED"), ("failed", "NOT_FOUND"), ("gone", "ARTIFACT_EXPIRED")]
)
def test_an_artifact_that_is_not_there_says_why(caller: Caller, stage: str, code: str) -> None:
    job = caller.invert()
    if stage != "queued":
        finish(
            caller.database,
            claim(caller.database, model=caller.model.identity),
            *([FAILURE] if stage == "failed" else []),
        )
    if stage == "gone":
        delete_job(caller.database, caller.store, "acme", job_id=job.id)

    with pytest.raises(AppError) as refused:
        get_artifact(caller.database, "acme", job.id, name="inversion")

    assert refused.value.code == code


def test_a_retry_is_a_new_job_with_the_same_work(caller: Caller, wakeups: CountingWakeUps) -> None:
    failed = caller.invert(replace(ACME, metadata={"campaign": "x"}), seed=7)
    finish(caller.database, claim(caller.database, model=caller.model.identity), FAILURE)

    again = retry_job(caller.database, wakeups, caller.model, order=ACME, job_id=failed.id)

    assert (again.state, again.retry_of) == (JobState.QUEUED, failed.id)
    assert (again.inputs, again.parameters, again.seed) == (failed.inputs, failed.parameters, 7)
    assert (again.work_key, again.metadata) == (failed.work_key, {"campaign": "x"})


def test_an_edit_can_be_retried(caller: Caller, wakeups: CountingWakeUps) -> None:
    inversion = _finished(caller)
    edit = caller.edit(inversion.id)
    cancel(caller.database, edit)

    again = retry_job(caller.database, wakeups, caller.model, order=ACME, job_id=edit.id)

    assert (again.state, again.retry_of, again.inputs) == (JobState.QUEUED, edit.id, edit.inputs)


def test_a_succeeded_job_is_not_retried(caller: Caller, wakeups: CountingWakeUps) -> None:
    job = _finished(caller)

    with pytest.raises(Conflict):
        retry_job(caller.database, wakeups, caller.model, order=ACME, job_id=job.id)


def test_a_sweep_repairs_leases_and_wakes_workers(caller: Caller, wakeups: CountingWakeUps) -> None:
    add_job(caller.database)
    claim(caller.database, lease_seconds=-1)
    add_job(caller.database)

    swept = sweep(caller.database, caller.store, wakeups)

    assert (swept.leases, swept.wake_ups, wakeups.sent) == (1, 2, 2)


def test_on_postgres_only_one_sweeper_sweeps(
    postgres_url: str, folder_store: FolderStore, wakeups: CountingWakeUps
) -> None:
    upgrade(postgres_url)
    database = SqlDatabase(postgres_url)

    with database.begin() as first:
        first.try_lock("sweep")
        meanwhile = sweep(database, folder_store, wakeups)
    afterwards = sweep(database, folder_store, wakeups)
    database.close()

    assert (meanwhile.ran, afterwards.ran) == (False, True)


def test_a_sweep_erases_what_is_kept_no_longer(caller: Caller, wakeups: CountingWakeUps) -> None:
    caller.store.put(ARTIFACT.key, b"data", media_type="image/png")
    add_job(caller.database)
    claimed = claim(caller.database)
    with caller.database.begin() as uow:
        uow.jobs.finish(claimed, SUCCESS, retention=timedelta(seconds=-1))
        uow.commit()

    swept = sweep(caller.database, caller.store, wakeups)

    assert swept.artifacts == 1
    assert list(caller.store.list("")) == []


def _finished(caller: Caller) -> Job:
    job = caller.invert()
    finish(caller.database, claim(caller.database, model=caller.model.identity))
    return load(caller.database, job)
