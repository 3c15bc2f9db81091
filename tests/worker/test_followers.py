"""Three duplicates of a running inversion, and what becomes of them when it is canceled, fails, or loses its worker."""

from dataclasses import replace

import pytest

from core.domain.job import Job, JobState
from core.usecases.jobs import cancel_job
from tests.stack.deployment import TIMESTEPS, Deployment
from tests.stack.fakes import load
from tests.stack.processes import wait_until
from tests.stack.studio import PROMPT_DIVERGES, steps_in
from tests.stack.submitting import ACME, PROMPT, Caller


def test_followers_of_a_canceled_leader_share_the_work_of_the_first_of_them(deployment: Deployment) -> None:
    leader, followers = _submit(deployment.caller)
    with deployment.worker(timestep_seconds=0.05):
        deployment.wait_for_steps(5)
        cancel_job(deployment.database, deployment.caller.wakeups, "acme", job_id=leader.id)
        done = _wait_for_ends(deployment, followers)

    assert load(deployment.database, leader).state is JobState.CANCELED
    _assert_first_computed_for_all(done)


def test_followers_of_a_leader_that_fails_each_fail_for_themselves(deployment: Deployment) -> None:
    leader, followers = _submit(deployment.caller, source_prompt=PROMPT_DIVERGES)
    with deployment.worker():
        ended = _wait_for_ends(deployment, [leader, *followers])

    # Failed work is not reused: each has had an attempt of its own.
    assert [job.state for job in ended] == [JobState.FAILED] * 4
    assert [job.error.code for job in ended if job.error is not None] == ["DIVERGED"] * 4
    assert [(job.attempt, job.leader) for job in ended] == [(1, None)] * 4


def test_followers_of_a_killed_leader_wait_for_its_next_attempt(deployment: Deployment) -> None:
    leader, followers = _submit(deployment.caller)
    with deployment.worker():
        deployment.wait_for_steps(5)
    waiting = [load(deployment.database, job).state for job in followers]
    with deployment.worker(timestep_seconds=0.01):
        done = _wait_for_ends(deployment, [leader, *followers])

    assert waiting == [JobState.WAITING] * 3
    assert [(job.state, job.attempt) for job in done] == [(JobState.SUCCEEDED, 2), *[(JobState.SUCCEEDED, 0)] * 3]
    assert all(job.artifacts == done[0].artifacts for job in done)
    assert len(steps_in(deployment.journal)) <= TIMESTEPS + 1


@pytest.mark.parametrize(("attempts", "code"), [(1, "WORKER_LOST"), (2, "POISON")])
def test_followers_of_a_leader_given_up_share_the_work_of_the_first_of_them(
    deployment: Deployment, attempts: int, code: str
) -> None:
    leader, followers = _submit(deployment.caller, leader_attempts=attempts)
    for attempt in range(1, attempts + 1):
        with deployment.worker():
            _wait_for_attempt(deployment, leader, attempt)
    with deployment.worker(timestep_seconds=0.01):
        done = _wait_for_ends(deployment, followers)

    lost = load(deployment.database, leader)
    assert lost.error is not None
    assert (lost.state, lost.error.code) == (JobState.FAILED, code)
    _assert_first_computed_for_all(done)


def _submit(caller: Caller, *, leader_attempts: int = 3, source_prompt: str = PROMPT) -> tuple[Job, list[Job]]:
    """An inversion, and three that ask for the same."""
    leader, *followers = (
        caller.invert(
            replace(ACME, max_attempts=attempts), parameters={"timesteps": TIMESTEPS}, source_prompt=source_prompt
        )
        for attempts in (leader_attempts, 3, 3, 3)
    )
    assert [job.leader for job in followers] == [leader.id] * 3
    return leader, followers


def _wait_for_attempt(deployment: Deployment, job: Job, attempt: int) -> None:
    wait_until(lambda: load(deployment.database, job).attempt == attempt, f"attempt {attempt} has begun")


def _wait_for_ends(deployment: Deployment, jobs: list[Job]) -> list[Job]:
    wait_until(lambda: all(load(deployment.database, job).state.final for job in jobs), "all have ended")
    return [load(deployment.database, job) for job in jobs]


def _assert_first_computed_for_all(done: list[Job]) -> None:
    first, *others = done
    assert [job.state for job in done] == [JobState.SUCCEEDED] * 3
    assert (first.leader, first.attempt) == (None, 1)
    assert [(job.leader, job.attempt) for job in others] == [(first.id, 0)] * 2
    # Nothing of the leader's is reused.
    assert all(artifact.key.startswith(first.folder) for job in done for artifact in job.artifacts)
    assert all(job.artifacts == first.artifacts for job in others)
