"""Real worker processes, killed, drained, cut from their broker; embedded and on Postgres and Redis."""

import shutil
import signal
from collections import Counter
from pathlib import Path
from time import monotonic, sleep

import pytest

from core.domain.batch import BatchState
from core.domain.job import JobState
from core.domain.ports import JobFilter
from core.domain.watching import EventKind, Worker
from core.usecases.batches import cancel_batch
from core.usecases.jobs import list_jobs
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.stack.batching import counted, item, read, refused, results, send
from tests.stack.deployment import TIMESTEPS, Deployment
from tests.stack.fakes import cancel, load
from tests.stack.processes import WorkerProcess, wait_until
from tests.stack.studio import steps_in


def test_a_killed_worker_loses_a_timestep_at_most_and_its_job_ends_once(deployment: Deployment) -> None:
    job = deployment.invert()
    with deployment.worker():
        deployment.wait_for_steps(10)
    done_before = len(steps_in(deployment.journal))

    with deployment.worker():
        done = deployment.wait_for(job, JobState.SUCCEEDED)
    with deployment.database.read() as uow:
        events = uow.events.of(job.tenant, job.id)
    states = [event.state for event in events if event.kind is EventKind.STATE]

    repeated = [step for step, times in Counter(steps_in(deployment.journal)).items() if times > 1]
    assert len(repeated) <= 1
    assert 10 <= done_before < TIMESTEPS
    assert states == [JobState.QUEUED, JobState.RUNNING, JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED]
    assert (done.attempt, done.fence, len(done.artifacts)) == (2, 2, 3)


def test_a_worker_is_ready_once_it_has_loaded_and_until_it_leaves_or_falls_silent(deployment: Deployment) -> None:
    model = deployment.caller.model.identity

    def ready() -> list[Worker]:
        with deployment.database.read() as uow:
            return list(uow.workers.ready(model=model))

    with deployment.worker() as worker:
        wait_until(lambda: len(ready()) == 1, "a worker is ready")
        (present,) = ready()
        status = worker.terminate()
    left = ready()
    with deployment.worker():
        wait_until(lambda: len(ready()) == 1, "another is ready")
    wait_until(lambda: not ready(), "the killed one is given up")

    assert (present.slots, status, left) == (2, 0, [])


def test_a_terminated_worker_hands_its_job_on(deployment: Deployment) -> None:
    job = deployment.invert()
    with deployment.worker() as worker:
        deployment.wait_for_steps(5)
        status = worker.terminate()
    handed = load(deployment.database, job)

    with deployment.worker():
        done = deployment.wait_for(job, JobState.SUCCEEDED)

    assert (status, handed.state, handed.attempt) == (0, JobState.QUEUED, 0)
    assert done.attempt == 1
    assert Counter(steps_in(deployment.journal)).most_common(1)[0][1] == 1


def test_a_terminated_worker_hands_on_what_comes_to_no_timestep(distributed: Deployment) -> None:
    job = distributed.invert()
    with distributed.worker(timestep_seconds=3600) as worker:
        distributed.wait_for(job, JobState.RUNNING)
        told_at = monotonic()
        status = worker.terminate()
        seconds = monotonic() - told_at
    handed = load(distributed.database, job)

    assert (status, handed.state, handed.attempt) == (0, JobState.QUEUED, 0)
    assert seconds < 10


def test_lost_messages_are_sent_again_by_the_sweeper(deployment: Deployment, request: pytest.FixtureRequest) -> None:
    jobs = [deployment.invert(shade) for shade in range(3)]
    _lose_messages(deployment, request)

    with deployment.worker(timestep_seconds=0.01):
        for job in jobs:
            deployment.wait_for(job, JobState.SUCCEEDED)


def test_an_edit_follows_its_inversion_in_a_running_worker(embedded: Deployment) -> None:
    with embedded.worker(timestep_seconds=0.01):
        edit = embedded.caller.edit(embedded.caller.request())

        embedded.wait_for(edit, JobState.SUCCEEDED)


def test_a_running_job_is_canceled_in_a_running_worker(distributed: Deployment) -> None:
    job = distributed.invert()
    with distributed.worker() as worker:
        distributed.wait_for_steps(3)
        cancel(distributed.database, job)
        distributed.wait_for(job, JobState.CANCELED)
        next_job = distributed.invert(shade=1)

        distributed.wait_for(next_job, JobState.SUCCEEDED)
        assert worker.terminate() == 0


def test_two_workers_share_the_work_without_doing_any_twice(distributed: Deployment) -> None:
    with distributed.worker(timestep_seconds=0.01), distributed.worker(timestep_seconds=0.01):
        jobs = [distributed.invert(shade) for shade in range(12)]
        for job in jobs:
            distributed.wait_for(job, JobState.SUCCEEDED)

    assert [load(distributed.database, job).fence for job in jobs] == [1] * len(jobs)


def test_a_stopped_worker_that_comes_back_is_refused(distributed: Deployment) -> None:
    job = distributed.invert()
    with distributed.worker() as zombie:
        distributed.wait_for_steps(5)
        zombie.signal(signal.SIGSTOP)
        with distributed.worker():
            done = distributed.wait_for(job, JobState.SUCCEEDED)
            zombie.signal(signal.SIGCONT)
            status = zombie.terminate()

    assert (status, done.fence) == (0, 2)
    assert load(distributed.database, job) == done


def test_a_database_that_crashes_and_comes_back_loses_no_job(
    distributed: Deployment, postgres_server: Postgres
) -> None:
    job = distributed.invert()
    with distributed.worker():
        distributed.wait_for_steps(5)
        postgres_server.kill()
        sleep(1)
        postgres_server.start()

        done = distributed.wait_for(job, JobState.SUCCEEDED)

    assert len(done.artifacts) == 3


def test_a_batch_whose_acceptor_was_killed_survives_its_worker_and_is_done_once(deployment: Deployment) -> None:
    images = [deployment.caller.image(shade) for shade in range(3)]
    # Kept, and no job made of it: as after a process that was killed between the two.
    batch = send(deployment.caller, [refused(0), *(item(n, images[n % 3], seed=n) for n in range(1, 13))])
    with deployment.worker(timestep_seconds=0.05):
        wait_until(lambda: len(results(deployment.caller, batch)) >= 4, "some items are done")
    early = results(deployment.caller, batch)

    with deployment.worker(timestep_seconds=0.01):
        wait_until(lambda: read(deployment.caller, batch).state is BatchState.ENDED, "the batch has ended")

    assert counted(read(deployment.caller, batch)) == {"succeeded": 12, "failed": 1}
    late = results(deployment.caller, batch, after=early[-1].sequence)
    assert early[0].item.number == 0
    assert sorted(one.item.number for one in (*early, *late)) == list(range(13))


def test_of_a_batch_canceled_half_way_nothing_starts_any_more(deployment: Deployment) -> None:
    images = [deployment.caller.image(shade) for shade in range(3)]
    batch = send(deployment.caller, [item(n, images[n % 3], seed=n) for n in range(40)])
    with deployment.worker(timestep_seconds=0.05):
        wait_until(lambda: counted(read(deployment.caller, batch)).get("succeeded", 0) >= 3, "some items are done")
        cancel_batch(deployment.database, "acme", batch.id)
        with deployment.database.read() as uow:
            canceled_at = uow.now()
        wait_until(lambda: read(deployment.caller, batch).state is BatchState.ENDED, "the batch has ended")
        sleep(1)  # two sweeps

    jobs = list_jobs(deployment.database, JobFilter(tenant="acme", batch_id=batch.id, limit=1000))
    assert {job.state.final for job in jobs} == {True}
    assert all(job.started_at is None or job.started_at <= canceled_at for job in jobs)
    assert counted(read(deployment.caller, batch)).keys() == {"succeeded", "canceled"}
    assert len(results(deployment.caller, batch)) == 40


def test_an_embedded_folder_has_one_worker(embedded: Deployment) -> None:
    job = embedded.invert()
    with embedded.worker(timestep_seconds=0.01):
        embedded.wait_for(job, JobState.SUCCEEDED)
        with embedded.worker() as second:
            status = second.wait()

        assert status != 0
        assert "Another worker uses" in second.log


def test_a_worker_refuses_an_old_schema(tmp_path: Path) -> None:
    with WorkerProcess(tmp_path / "journal", {"DATA_DIR": str(tmp_path)}) as worker:
        status = worker.wait()

    assert status != 0
    assert "run `stylediffusion migrate`" in worker.log


def _lose_messages(deployment: Deployment, request: pytest.FixtureRequest) -> None:
    if "REDIS_URL" in deployment.environment:
        redis_server: Redis = request.getfixturevalue("redis_server")
        redis_server.flush()
    else:
        shutil.rmtree(Path(deployment.environment["DATA_DIR"]) / "queue")
        (Path(deployment.environment["DATA_DIR"]) / "queue").mkdir()
