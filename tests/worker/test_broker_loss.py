"""What becomes of a worker whose broker goes away."""

from time import sleep

from core.domain.job import JobState
from tests.servers.redis import Redis
from tests.stack.deployment import Deployment


def test_a_worker_outlives_its_broker_twice(distributed: Deployment, redis_server: Redis) -> None:
    with distributed.worker(timestep_seconds=0.2):
        jobs = []
        for shade in (1, 2):
            jobs.append(distributed.invert(shade=shade))
            distributed.wait_for(jobs[-1], JobState.RUNNING)
            redis_server.kill()
            sleep(1)
            redis_server.start()
        jobs.append(distributed.invert(shade=3))
        ended = [distributed.wait_for(job, JobState.SUCCEEDED) for job in jobs]

    assert [job.attempt for job in ended] == [1, 1, 1]


def test_jobs_run_while_the_broker_is_away(distributed: Deployment, redis_server: Redis) -> None:
    with distributed.worker(timestep_seconds=0.01) as there:
        first = distributed.invert(shade=1)
        distributed.wait_for(first, JobState.SUCCEEDED)
        redis_server.kill()
        try:
            with distributed.worker(timestep_seconds=0.01) as started_since:
                jobs = [distributed.invert(shade=shade) for shade in (2, 3, 4, 5)]
                for job in jobs[:2]:
                    distributed.wait_for(job, JobState.SUCCEEDED)
                there.kill()
                for job in jobs[2:]:
                    distributed.wait_for(job, JobState.SUCCEEDED)
                status = started_since.terminate()
        finally:
            redis_server.start()

    assert status == 0
