"""Which job runs next, by whom, and what a writer without the lease may do."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.domain.job import JobClass, JobState, Progress
from core.domain.ports import Claim, Database
from tests.stack.fakes import BOTH, FAILURE, add_job, claim, finish, load, try_claim


def test_a_claim_runs_the_job_and_counts_the_attempt(database: Database) -> None:
    job = add_job(database)

    claimed = claim(database)

    assert (claimed.job.id, claimed.job.state) == (job.id, JobState.RUNNING)
    assert (claimed.fence, claimed.job.fence, claimed.job.attempt) == (1, 1, 1)
    assert claimed.job.started_at is not None


def test_an_empty_queue_gives_nothing(database: Database) -> None:
    assert try_claim(database) is None


def test_no_job_is_claimed_twice_by_racing_workers(database: Database) -> None:
    jobs = {add_job(database, tenant=f"tenant{number % 3}").id for number in range(60)}

    def drain(_: int) -> list[str]:
        taken = []
        while (claimed := try_claim(database)) is not None:
            taken.append(claimed.job.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [job for share in pool.map(drain, range(4)) for job in share]

    assert sorted(taken) == sorted(jobs)


def test_interactive_work_goes_before_batch_work(database: Database) -> None:
    add_job(database, job_class=JobClass.BATCH)
    interactive = add_job(database)

    assert claim(database).job.id == interactive.id


def test_a_slot_for_interactive_work_leaves_batches_alone(database: Database) -> None:
    add_job(database, job_class=JobClass.BATCH)

    assert try_claim(database, (JobClass.INTERACTIVE,)) is None


def test_a_batch_that_waited_long_stands_in_line_with_interactive_work(database: Database) -> None:
    with database.read() as uow:
        long_ago = uow.now() - timedelta(hours=1)
    aged = add_job(database, tenant="patient", job_class=JobClass.BATCH, queued_at=long_ago)
    interactive = add_job(database, tenant="hasty")

    assert [claim(database).job.id, claim(database).job.id] == [aged.id, interactive.id]


def test_the_tenant_with_the_fewest_running_jobs_is_next(database: Database) -> None:
    for _ in range(3):
        add_job(database, tenant="many")
    single = add_job(database, tenant="one")
    claim(database)

    assert claim(database).job.id == single.id


def test_the_oldest_job_of_a_tenant_is_next(database: Database) -> None:
    jobs = [add_job(database) for _ in range(3)]

    assert [claim(database).job.id for _ in jobs] == [job.id for job in jobs]


def test_a_job_past_its_deadline_is_not_started(database: Database) -> None:
    with database.read() as uow:
        passed = uow.now() - timedelta(seconds=1)
    add_job(database, deadline_at=passed)

    assert try_claim(database) is None


def test_a_stale_fence_writes_nothing(database: Database) -> None:
    job = add_job(database)
    zombie = claim(database, lease_seconds=-1)
    _expire_leases(database)
    current = claim(database)

    with database.begin() as uow:
        beat = uow.jobs.beat(zombie, Progress(timestep=9, timesteps=10), lease_seconds=60)
        checkpointed = uow.jobs.save_checkpoint(zombie, "acme/zombie", Progress())
        released = uow.jobs.release(zombie, count_attempt=False)
        uow.commit()
    finished = finish(database, zombie)

    assert (beat.alive, checkpointed, released, finished) == (False, False, False, False)
    assert load(database, job) == current.job


def test_a_heartbeat_keeps_the_lease_and_the_progress(database: Database) -> None:
    job = add_job(database)
    claimed = claim(database, lease_seconds=-1)

    beat = _beat(database, claimed)
    lost = _expire_leases(database)

    assert (beat, lost) == (True, 0)
    assert load(database, job).progress == Progress(timestep=3, timesteps=10, eta_seconds=7.5)


def test_a_lost_lease_puts_the_job_back_with_its_checkpoint(database: Database) -> None:
    job = add_job(database)
    claimed = claim(database, lease_seconds=-1)
    with database.begin() as uow:
        uow.jobs.save_checkpoint(claimed, "acme/checkpoint", Progress(timestep=4, timesteps=10))
        uow.commit()

    lost = _expire_leases(database)

    assert (lost, load(database, job).state) == (1, JobState.QUEUED)
    again = claim(database)
    assert (again.fence, again.job.attempt, again.job.checkpoint_key) == (2, 2, "acme/checkpoint")


def test_a_job_that_loses_every_worker_is_poison(database: Database) -> None:
    job = add_job(database, max_attempts=3)
    for _ in range(3):
        claim(database, lease_seconds=-1)
        _expire_leases(database)

    poisoned = load(database, job)

    assert poisoned.state is JobState.FAILED
    assert poisoned.error is not None
    assert (poisoned.error.code, poisoned.error.retryable) == ("POISON", False)
    assert try_claim(database) is None


def test_for_an_attempt_that_has_left_a_checkpoint_there_is_one_more(database: Database) -> None:
    job = add_job(database, max_attempts=2)
    for timestep in range(1, 6):
        claimed = claim(database, lease_seconds=-1)
        with database.begin() as uow:
            key = f"{job.folder}{claimed.fence}/checkpoint"
            uow.jobs.save_checkpoint(claimed, key, Progress(timestep=timestep, timesteps=10))
            uow.commit()
        _expire_leases(database)
    moved = load(database, job)

    for _ in range(2):
        claim(database, lease_seconds=-1)
        _expire_leases(database)
    stuck = load(database, job)

    assert (moved.state, moved.attempt, moved.max_attempts) == (JobState.QUEUED, 5, 7)
    assert (stuck.state, stuck.attempt) == (JobState.FAILED, 7)


@pytest.mark.parametrize(("most", "losses"), [(2, 1), (3, 2), (9, 2)])
def test_a_job_that_lost_worker_after_worker_can_be_passed_over(database: Database, most: int, losses: int) -> None:
    suspect, other = add_job(database, max_attempts=most), add_job(database, max_attempts=1)
    before = [_lose(database, suspects=False) for _ in range(losses)]

    passed = try_claim(database, suspects=False)
    taken = claim(database)

    assert [one.job.id for one in before] == [suspect.id] * losses
    assert passed is not None
    assert (passed.job.id, passed.job.suspect) == (other.id, False)
    assert (taken.job.id, taken.job.suspect) == (suspect.id, True)


def test_a_job_that_got_on_is_suspected_no_more(database: Database) -> None:
    job = add_job(database, max_attempts=9)
    before = [_lose(database, suspects=True) for _ in range(3)]
    moved = claim(database, lease_seconds=-1)
    with database.begin() as uow:
        key = f"{moved.job.folder}{moved.fence}/checkpoint-1"
        uow.jobs.save_checkpoint(moved, key=key, progress=Progress(timestep=1, timesteps=10))
        uow.commit()
    _expire_leases(database)

    cleared = _lose(database, suspects=False)
    stuck = try_claim(database, suspects=False)

    assert before[-1].job.suspect
    assert (cleared.job.id, cleared.job.attempt, cleared.job.suspect) == (job.id, 5, False)
    assert stuck is None


def test_a_job_of_one_attempt_is_not_blamed_for_its_lost_worker(database: Database) -> None:
    job = add_job(database, max_attempts=1)
    claim(database, lease_seconds=-1)
    _expire_leases(database)

    lost = load(database, job)

    assert lost.error is not None
    assert (lost.state, lost.error.code, lost.error.retryable) == (JobState.FAILED, "WORKER_LOST", True)


def test_a_release_on_shutdown_costs_no_attempt(database: Database) -> None:
    job = add_job(database)
    claimed = claim(database)

    with database.begin() as uow:
        released = uow.jobs.release(claimed, count_attempt=False)
        uow.commit()

    assert released
    assert (load(database, job).state, load(database, job).attempt) == (JobState.QUEUED, 0)


def test_a_final_job_is_finished_once(database: Database) -> None:
    job = add_job(database)
    claimed = claim(database)

    assert finish(database, claimed)
    assert not finish(database, claimed, FAILURE)
    assert load(database, job).state is JobState.SUCCEEDED


def test_the_embedded_start_voids_the_old_leases(database: Database) -> None:
    job = add_job(database)
    claim(database)

    with database.begin() as uow:
        voided = uow.jobs.void_leases()
        uow.commit()
    _expire_leases(database)

    assert (voided, load(database, job).state) == (1, JobState.QUEUED)


def test_events_tell_every_state_in_order(database: Database) -> None:
    job = add_job(database)
    finish(database, claim(database))

    with database.read() as uow:
        events = uow.events.of("acme", job.id)
        rest = uow.events.of("acme", job.id, after=events[1].number)

    assert [event.state for event in events] == [JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    assert rest == events[2:]


def test_the_queue_position_counts_the_jobs_before(database: Database) -> None:
    jobs = [add_job(database) for _ in range(3)]

    with database.read() as uow:
        positions = [uow.queue.position(job) for job in jobs]

    assert positions == [0, 1, 2]


def test_counting_the_queue_stops_at_the_limit(database: Database) -> None:
    for _ in range(3):
        add_job(database)

    with database.read() as uow:
        counts = [uow.jobs.queued_count(limit=limit) for limit in (1, 10)]

    assert counts == [1, 3]


def _beat(database: Database, claimed: Claim) -> bool:
    with database.begin() as uow:
        beat = uow.jobs.beat(claimed, Progress(timestep=3, timesteps=10, eta_seconds=7.5), lease_seconds=60)
        uow.commit()
    return beat.alive


def _lose(database: Database, *, suspects: bool) -> Claim:
    claimed = try_claim(database, lease_seconds=-1, suspects=suspects)
    assert claimed is not None
    _expire_leases(database)
    return claimed


def _expire_leases(database: Database) -> int:
    with database.begin() as uow:
        count = uow.jobs.expire_leases(limit=100)
        uow.commit()
    return count


def test_both_classes_are_served_by_one_slot(database: Database) -> None:
    add_job(database, job_class=JobClass.BATCH)

    assert try_claim(database, BOTH) is not None
