"""What the end of one job means for those that waited for it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core.domain.job import Job, JobState
from core.storage import endings
from core.storage.database import SqlDatabase
from core.storage.migrate import upgrade
from core.storage.tables import jobs as table
from tests.stack.fakes import (
    ARTIFACT,
    FAILURE,
    add_edit,
    add_follower,
    add_job,
    cancel,
    claim,
    finish,
    load,
    try_claim,
)


def _states(database: SqlDatabase, *jobs: Job) -> list[JobState]:
    return [load(database, job).state for job in jobs]


def test_followers_share_the_success_of_their_leader(database: SqlDatabase) -> None:
    leader = add_job(database)
    followers = [add_follower(database, leader) for _ in range(3)]

    finish(database, claim(database))

    shared = [load(database, follower) for follower in followers]
    assert [job.state for job in shared] == [JobState.SUCCEEDED] * 3
    assert all(job.artifacts == (ARTIFACT,) and job.result == load(database, leader).result for job in shared)
    assert all(job.expires_at is not None for job in shared)
    assert try_claim(database) is None


def test_one_follower_takes_the_place_of_a_failed_leader(database: SqlDatabase) -> None:
    leader = add_job(database)
    first, second, third = (add_follower(database, leader) for _ in range(3))

    finish(database, claim(database), FAILURE)

    assert _states(database, leader, first, second, third) == [
        JobState.FAILED,
        JobState.QUEUED,
        JobState.WAITING,
        JobState.WAITING,
    ]
    assert [load(database, job).leader for job in (first, second, third)] == [None, first.id, first.id]


def test_the_promoted_follower_is_computed_for_the_rest(database: SqlDatabase) -> None:
    leader = add_job(database)
    followers = [add_follower(database, leader) for _ in range(3)]
    finish(database, claim(database), FAILURE)

    finish(database, claim(database))

    assert _states(database, *followers) == [JobState.SUCCEEDED] * 3


def test_one_follower_takes_the_place_of_a_canceled_leader(database: SqlDatabase) -> None:
    leader = add_job(database)
    first, second = (add_follower(database, leader) for _ in range(2))

    cancel(database, leader)

    assert _states(database, leader, first, second) == [JobState.CANCELED, JobState.QUEUED, JobState.WAITING]


def test_a_canceled_follower_leaves_the_others_alone(database: SqlDatabase) -> None:
    leader = add_job(database)
    first, second = (add_follower(database, leader) for _ in range(2))

    cancel(database, first)

    assert _states(database, leader, first, second) == [JobState.QUEUED, JobState.CANCELED, JobState.WAITING]


def test_an_edit_starts_when_its_inversion_has_succeeded(database: SqlDatabase) -> None:
    inversion = add_job(database)
    edit = add_edit(database, inversion)
    claimed = claim(database)
    waiting = try_claim(database)

    finish(database, claimed)

    assert waiting is None
    assert claim(database).job.id == edit.id


def test_an_edit_of_a_finished_inversion_does_not_wait(database: SqlDatabase) -> None:
    inversion = add_job(database)
    finish(database, claim(database))

    edit = add_edit(database, inversion)

    assert edit.state is JobState.QUEUED
    assert edit.queued_at is not None


def test_an_edit_of_a_duplicate_starts_when_the_leader_has_succeeded(database: SqlDatabase) -> None:
    leader = add_job(database)
    edit = add_edit(database, add_follower(database, leader))

    finish(database, claim(database))

    assert _states(database, edit) == [JobState.QUEUED]


@pytest.mark.parametrize("end", ["failed", "canceled", "poison", "expired"])
def test_an_edit_fails_with_its_inversion(database: SqlDatabase, end: str) -> None:
    with database.read() as uow:
        soon = uow.now() + timedelta(seconds=30)
    inversion = add_job(database, max_attempts=1, deadline_at=soon if end == "expired" else None)
    edit = add_edit(database, inversion)

    match end:
        case "failed":
            finish(database, claim(database), FAILURE)
        case "canceled":
            cancel(database, inversion)
        case "poison":
            claim(database, lease_seconds=-1)
            _sweep(database)
        case _:
            _pass_deadline(database, inversion)
            _sweep(database)

    failed = load(database, edit)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.code == "INVERSION_FAILED"


def test_a_job_past_its_deadline_has_expired_and_says_so(database: SqlDatabase) -> None:
    with database.read() as uow:
        job = add_job(database, deadline_at=uow.now() + timedelta(seconds=30))
    _pass_deadline(database, job)
    _sweep(database)

    late = load(database, job)
    assert late.error is not None
    assert (late.state, late.error.code, late.error.retryable) == (JobState.EXPIRED, "DEADLINE", True)


def test_an_edit_of_a_duplicate_outlives_a_canceled_leader(database: SqlDatabase) -> None:
    leader = add_job(database)
    follower = add_follower(database, leader)
    edit = add_edit(database, follower)

    cancel(database, leader)

    assert _states(database, follower, edit) == [JobState.QUEUED, JobState.WAITING]
    finish(database, claim(database))
    assert _states(database, follower, edit) == [JobState.SUCCEEDED, JobState.QUEUED]


def test_a_running_job_is_asked_to_stop(database: SqlDatabase) -> None:
    job = add_job(database)
    claim(database)

    asked = cancel(database, job)

    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)


def test_a_job_asked_to_stop_is_not_tried_again(database: SqlDatabase) -> None:
    job = add_job(database)
    claim(database, lease_seconds=-1)
    cancel(database, job)

    _sweep(database)

    assert _states(database, job) == [JobState.CANCELED]


def test_a_follower_takes_the_place_of_a_leader_that_was_asked_to_stop_and_lost_its_worker(
    database: SqlDatabase,
) -> None:
    leader = add_job(database)
    first, second = (add_follower(database, leader) for _ in range(2))
    claim(database, lease_seconds=-1)
    cancel(database, leader)

    _sweep(database)

    assert _states(database, leader, first, second) == [JobState.CANCELED, JobState.QUEUED, JobState.WAITING]


def test_a_released_job_that_was_asked_to_stop_ends(database: SqlDatabase) -> None:
    job = add_job(database)
    claimed = claim(database)
    cancel(database, job)

    with database.begin() as uow:
        uow.jobs.release(claimed, count_attempt=False)
        uow.commit()

    assert _states(database, job) == [JobState.CANCELED]


def test_canceling_a_final_job_changes_nothing(database: SqlDatabase) -> None:
    job = add_job(database)
    finish(database, claim(database))

    assert cancel(database, job) == load(database, job)


def test_a_deadline_ends_even_a_running_job(database: SqlDatabase) -> None:
    with database.read() as uow:
        soon = uow.now() + timedelta(seconds=30)
    job = add_job(database, deadline_at=soon)
    claimed = claim(database)
    _pass_deadline(database, job)

    _sweep(database)

    assert _states(database, job) == [JobState.EXPIRED]
    assert not finish(database, claimed)


def test_artifacts_are_erased_with_the_last_job_that_shares_them(database: SqlDatabase) -> None:
    leader = add_job(database)
    follower = add_follower(database, leader)
    finish(database, claim(database))

    first, second = _delete(database, leader), _delete(database, follower)

    assert (first, second) == ([], [ARTIFACT.key])
    assert load(database, leader).deleted_at is not None
    assert load(database, leader).artifacts == ()


def test_a_duplicate_shares_what_an_earlier_duplicate_still_holds(database: SqlDatabase) -> None:
    leader = add_job(database, work_key="k")
    add_follower(database, leader, work_key="k")
    finish(database, claim(database))
    _delete(database, leader)

    with database.begin() as uow:
        found = uow.jobs.find_leader("acme", "k")
        uow.commit()
    assert found is not None
    late = add_follower(database, leader, work_key="k")

    assert found.id != leader.id
    assert (late.state, late.artifacts) == (JobState.SUCCEEDED, (ARTIFACT,))


def test_old_artifacts_are_forgotten_unless_an_edit_needs_them(database: SqlDatabase) -> None:
    unread, read = add_job(database), add_job(database)
    finish(database, claim(database))
    finish(database, claim(database))
    add_edit(database, read)
    _age(database, days=31)

    with database.begin() as uow:
        keys = uow.jobs.expire_artifacts(limit=10)
        uow.commit()

    assert keys == [ARTIFACT.key]
    assert [load(database, job).artifacts for job in (unread, read)] == [(), (ARTIFACT,)]


def test_an_inversion_that_an_edit_came_to_need_while_it_was_chosen_is_kept(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(postgres_url)
    database = SqlDatabase(postgres_url)
    read, other = add_job(database), add_job(database)
    finish(database, claim(database))
    edit = add_edit(database, other)
    _age(database, days=31)
    chosen = endings._held

    def choose(*args: Any) -> list[Job]:
        held = chosen(*args)
        # By another connection, as if it had been accepted before the rows were held and after they were chosen.
        with database.engine.begin() as connection:
            connection.execute(update(table).where(table.c.id == edit.id).values(depends_on=read.id))
        return held

    monkeypatch.setattr(endings, "_held", choose)
    with database.begin() as uow:
        keys = uow.jobs.expire_artifacts(limit=10)
        uow.commit()

    assert keys == []
    assert load(database, read).artifacts == (ARTIFACT,)
    database.close()


def _sweep(database: SqlDatabase) -> None:
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=10)
        uow.jobs.expire_deadlines(limit=10)
        uow.commit()


def _delete(database: SqlDatabase, job: Job) -> list[str]:
    with database.begin() as uow:
        keys = list(uow.jobs.delete(job.tenant, job.id))
        uow.commit()
    return keys


def _pass_deadline(database: SqlDatabase, job: Job) -> None:
    with database.read() as uow:
        passed = uow.now() - timedelta(seconds=1)
    with database.engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == job.id).values(deadline_at=passed))


def _age(database: SqlDatabase, *, days: int) -> None:
    with database.engine.begin() as connection:
        for row in connection.execute(select(table).where(table.c.expires_at.is_not(None))).all():
            aged = update(table).where(table.c.id == row.id).values(expires_at=row.expires_at - timedelta(days=days))
            connection.execute(aged)
