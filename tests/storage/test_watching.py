"""Events, the queue's load and ready workers, as the database keeps them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from core.domain.job import Job, JobClass, JobState, Progress
from core.domain.ports import Claim, Database, ObjectStore
from core.domain.watching import EventKind, JobEvent, QueueLoad
from core.storage.database import make_engine
from core.storage.migrate import upgrade
from core.storage.objects_folder import FolderStore
from core.usecases.sweep import tidy
from tests.stack.fakes import ARTIFACT, FAILURE, MODEL, SUCCESS, add_follower, add_job, claim, finish, load, try_claim

OTHER = {"name": "pocket", "revision": "2"}


def test_a_job_is_claimed_by_its_own_model_only(database: Database) -> None:
    old = add_job(database, model=OTHER)
    new = add_job(database)

    assert claim(database).job.id == new.id
    assert try_claim(database) is None
    assert claim(database, model=OTHER).job.id == old.id


def test_jobs_of_another_model_stand_not_before(database: Database) -> None:
    add_job(database, model=OTHER)
    job = add_job(database)

    with database.read() as uow:
        assert uow.queue.position(job) == 0


def test_news_are_told_by_job_from_where_each_was_left(database: Database) -> None:
    first, second, third = (add_job(database) for _ in range(3))
    before = _events(database, first)[-1].number
    for _ in range(2):
        finish(database, claim(database))

    with database.read() as uow:
        news = uow.events.news({first.id: before, second.id: 0})
        nothing = uow.events.news({third.id: 2**40})

    assert [event.state for event in news if event.job_id == first.id] == [JobState.RUNNING, JobState.SUCCEEDED]
    assert [event.state for event in news if event.job_id == second.id] == [
        JobState.QUEUED,
        JobState.RUNNING,
        JobState.SUCCEEDED,
    ]
    assert [event.number for event in news] == sorted(event.number for event in news)
    assert nothing == []


def test_the_number_of_a_forgotten_event_is_never_given_again(database: Database) -> None:
    add_job(database)
    claimed = claim(database)
    numbers = [_tell(database, claimed, timestep) for timestep in range(1, 5)]
    finish(database, claimed, FAILURE)

    assert numbers == sorted(set(numbers))
    assert _events(database, claimed.job)[-1].number > numbers[-1]


def test_a_stale_attempt_tells_nothing(database: Database) -> None:
    add_job(database)
    stale = claim(database, lease_seconds=-1)
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=1)
        uow.commit()
    claim(database)

    _tell(database, stale, 3)

    assert {event.kind for event in _events(database, stale.job)} == {EventKind.STATE}
    assert not _show(database, stale, "acme/x")


def test_previews_end_with_their_attempt(database: Database) -> None:
    job = add_job(database)
    lost = claim(database, lease_seconds=-1)
    assert _show(database, lost, "acme/first")
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=1)
        uow.commit()
    after_loss = _previews(database, job)
    again = claim(database)
    assert _show(database, again, "acme/second")
    shown = _previews(database, job)
    finish(database, again)

    assert (after_loss, shown, _previews(database, job)) == ([], ["acme/second"], [])


def test_what_attempts_left_behind_is_cleared_away_once(database: Database, folder_store: FolderStore) -> None:
    job = add_job(database)
    claimed = claim(database)
    for name in ("1/preview-3.png", "1/checkpoint-2", "2/image"):
        folder_store.put(f"{job.folder}{name}", b"left", media_type="image/png")
    unfinished = tidy(database, folder_store, ended_for=timedelta(0)), _keys(folder_store, job)
    finish(database, claimed, FAILURE)
    too_early = tidy(database, folder_store, ended_for=timedelta(hours=1)), _keys(folder_store, job)

    assert [tidy(database, folder_store, ended_for=timedelta(0)) for _ in range(2)] == [1, 0]
    assert _keys(folder_store, job) == []
    assert (unfinished, too_early) == ((0, unfinished[1]), (0, unfinished[1]))
    assert len(unfinished[1]) == 3


def test_clearing_away_spares_what_a_duplicate_shares(database: Database, folder_store: FolderStore) -> None:
    leader = add_job(database)
    follower = add_follower(database, leader)
    claimed = claim(database)
    shared, stray = f"{leader.folder}1/image", f"{leader.folder}1/checkpoint-4"
    for key in (shared, stray):
        folder_store.put(key, b"data", media_type="image/png")
    finish(database, claimed, replace(SUCCESS, artifacts=(replace(ARTIFACT, key=shared),)))
    with database.begin() as uow:
        uow.jobs.delete("acme", leader.id)
        uow.commit()

    tidied = tidy(database, folder_store, ended_for=timedelta(0))

    assert tidied == 2
    assert _keys(folder_store, leader) == [shared]
    assert load(database, follower).state is JobState.SUCCEEDED


def test_a_worker_is_counted_on_until_it_is_silent_or_leaves(database: Database) -> None:
    _report(database, "wrk_a", slots=4)
    _report(database, "wrk_b", slots=1, model=OTHER)
    _report(database, "wrk_c", lease_seconds=-1)
    with database.begin() as uow:
        present = [worker.id for worker in uow.workers.ready()]
        mine = [(worker.id, worker.slots) for worker in uow.workers.ready(model=MODEL)]
        uow.workers.forget("wrk_a")
        left = [worker.id for worker in uow.workers.ready()]
        uow.workers.clear()
        cleared = uow.workers.ready()

    assert (present, mine, left, cleared) == (["wrk_a", "wrk_b"], [("wrk_a", 4)], ["wrk_b"], [])


def test_a_report_again_keeps_when_the_worker_became_ready(database: Database) -> None:
    _report(database, "wrk_a", lease_seconds=-1)
    _report(database, "wrk_a", lease_seconds=60)

    with database.read() as uow:
        (worker,) = uow.workers.ready()

    assert worker.ready_at < worker.seen_at < worker.present_until


def test_the_load_counts_slots_and_what_nobody_can_run(database: Database) -> None:
    add_job(database, model=OTHER)
    for job_class in (JobClass.INTERACTIVE, JobClass.BATCH, JobClass.BATCH):
        add_job(database, job_class=job_class)
    _report(database, "wrk_a", slots=3)
    claim(database)

    interactive, batch = (_load(database, job_class) for job_class in JobClass)
    own = _load(database, JobClass.INTERACTIVE, model=OTHER)

    assert (interactive.queued, interactive.running, interactive.busy, interactive.stranded) == (1, 1, 1, 1)
    assert (interactive.workers, interactive.slots) == (1, 3)
    assert (batch.queued, batch.running, batch.busy, batch.stranded, batch.slots) == (2, 0, 1, 0, 2)
    assert (own.queued, own.workers, own.slots, own.stranded, own.busy) == (1, 0, 0, 1, 0)


def test_states_entered_are_counted_from_where_it_was_left(database: Database) -> None:
    add_job(database)
    lost = claim(database, lease_seconds=-1)
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=1)
        uow.commit()
    finish(database, claim(database))
    with database.read() as uow:
        later = uow.now() + timedelta(seconds=1)
        number, entered = uow.events.entered(after=0, until=later)
        nothing = uow.events.entered(after=number, until=later)
        too_new = uow.events.entered(after=0, until=uow.now() - timedelta(hours=1))
        newest = uow.events.newest()

    counts = {(each.state, each.again): each.count for each in entered}
    assert counts == {
        (JobState.QUEUED, False): 2,
        (JobState.RUNNING, False): 1,
        (JobState.RUNNING, True): 1,
        (JobState.SUCCEEDED, True): 1,
    }
    assert {each.job_class for each in entered} == {lost.job.job_class}
    assert (number, nothing, too_new) == (newest, (newest, []), (0, []))


def test_unfinished_jobs_are_counted_by_state_and_class(database: Database) -> None:
    leader = add_job(database)
    add_follower(database, leader)
    add_job(database, job_class=JobClass.BATCH)
    finish(database, claim(database, (JobClass.BATCH,)))

    with database.read() as uow:
        counts = uow.queue.unfinished()

    assert counts == {
        (JobState.WAITING, JobClass.INTERACTIVE): 1,
        (JobState.QUEUED, JobClass.INTERACTIVE): 1,
    }


def test_sqlite_finds_running_jobs_in_their_own_small_index(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    upgrade(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all())
            for query in (
                "SELECT tenant, count(*) FROM jobs WHERE state = 'running' GROUP BY tenant",
                "SELECT * FROM jobs WHERE state = 'running' AND lease_until < '2026'",
                "SELECT count(*) FROM jobs WHERE state = 'running' AND job_class = 'batch'",
            )
        ]
    engine.dispose()

    assert all("ix_jobs_running" in plan for plan in plans), plans


def _tell(database: Database, claimed: Claim, timestep: int) -> int:
    with database.begin() as uow:
        uow.jobs.beat(claimed, Progress(timestep=timestep, timesteps=10), lease_seconds=60)
        uow.commit()
    return _events(database, claimed.job)[-1].number


def _show(database: Database, claimed: Claim, key: str) -> bool:
    with database.begin() as uow:
        shown = uow.jobs.save_preview(claimed, key, timestep=1)
        uow.commit()
    return shown


def _events(database: Database, job: Job) -> list[JobEvent]:
    with database.read() as uow:
        return list(uow.events.of(job.tenant, job.id))


def _previews(database: Database, job: Job) -> list[str]:
    return [event.data["key"] for event in _events(database, job) if event.kind is EventKind.PREVIEW]


def _keys(store: ObjectStore, job: Job) -> list[str]:
    return list(store.list(job.folder))


def _report(
    database: Database,
    worker_id: str,
    *,
    slots: int = 1,
    lease_seconds: float = 60,
    model: Mapping[str, str] = MODEL,
) -> None:
    with database.begin() as uow:
        uow.workers.report(worker_id, model=model, slots=slots, lease_seconds=lease_seconds)
        uow.commit()


def _load(database: Database, job_class: JobClass, *, model: Mapping[str, str] | None = None) -> QueueLoad:
    with database.read() as uow:
        return uow.queue.load(job_class, model=model)
