"""Jobs by the true engine whose workers are killed again and again, beside straight runs of the same."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from core.domain.catalogue import Model
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Job, JobState
from core.usecases.requests import Order
from tests.stack.deployment import PACE, Deployment
from tests.stack.processes import wait_until
from tests.stack.studio import steps_in

_KILLS = 5
_LATE = 4  # last timesteps at which none is killed: a kill takes its time, and must not come after the end
# The method that learns most, one that draws random numbers as it goes, and one whose edits only sample.
_METHODS: dict[InversionMethod, dict[str, Any]] = {
    InversionMethod.STYLEDIFFUSION: {"timesteps": 14, "inner_steps": 2, "stop_loss": 0.0, "stop_slope": 0.0},
    InversionMethod.PIX2PIX_ZERO: {"timesteps": 30, "regularisation_steps": 2},
    InversionMethod.DIRECT: {"timesteps": 50},
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One timestep that was computed; the digest is of its whole checkpoint."""

    process: str
    timestep: int
    digest: str


@pytest.fixture
def alone(tmp_path: Path, model: Model) -> Iterator[Deployment]:
    """A deployment whose worker runs one job at a time and keeps every timestep.

    The lease is as long as usual, for slow machines.
    """
    alone = {"LEASE_SECONDS": "60", "SLOTS": "1", "EDIT_CHECKPOINT_SECONDS": "0"}
    with Deployment({"DATA_DIR": str(tmp_path), **PACE, **alone}, model=model) as running:
        yield running


@pytest.mark.parametrize("method", [InversionMethod.STYLEDIFFUSION, InversionMethod.PIX2PIX_ZERO])
def test_an_inversion_killed_five_times_equals_the_straight_run(alone: Deployment, method: InversionMethod) -> None:
    def submit(tenant: str) -> Job:
        return _invert(alone, method, tenant=tenant)

    _assert_killed_equals_straight(alone, submit, at=_there_and_back)


def test_an_edit_killed_twice_equals_the_straight_run(alone: Deployment) -> None:
    """One that only samples, and keeps what the words did at earlier timesteps."""
    with alone.worker(timestep_seconds=None):
        tenants = ("straight", "killed")
        inverted = {tenant: _invert(alone, InversionMethod.DIRECT, tenant=tenant) for tenant in tenants}
        for inversion in inverted.values():
            alone.wait_for(inversion, JobState.SUCCEEDED)
    blend = {"source_words": ["red"], "target_words": ["green"], "start": 0.1}

    def submit(tenant: str) -> Job:
        order = Order(tenant=tenant, max_attempts=3)
        return alone.caller.edit(inverted[tenant].id, order, parameters={"blend": blend}, seed=7)

    _assert_killed_equals_straight(alone, submit, at=lambda total, numbers: numbers.sample(range(1, total - _LATE), 2))


def _assert_killed_equals_straight(
    deployment: Deployment, submit: Callable[[str], Job], *, at: Callable[[int, random.Random], list[int]]
) -> None:
    before = len(_computed(deployment))
    straight = submit("straight")
    with deployment.worker(timestep_seconds=None):
        expected_job = deployment.wait_for(straight, JobState.SUCCEEDED)
    expected = _computed(deployment)[before:]

    killed = submit("killed")
    kills = sorted(at(len(expected), random.Random(straight.kind)))
    for timestep in kills:
        seen = len(_computed(deployment))
        with deployment.worker(timestep_seconds=None):
            deployment.wait_for_steps(seen + 1)
            wait_until(lambda: _computed(deployment)[-1].timestep >= timestep, f"timestep {timestep}")  # noqa: B023 - called at once
    with deployment.worker(timestep_seconds=None):
        done = deployment.wait_for(killed, JobState.SUCCEEDED)

    attempts = _by_attempt(_computed(deployment)[before + len(expected) :])
    assert (done.attempt, len(attempts)) == (len(kills) + 1, len(kills) + 1)
    # An attempt begins after what the one before has kept, or with the one timestep that it had not kept yet.
    assert all(later[0].timestep - earlier[-1].timestep in {0, 1} for earlier, later in pairwise(attempts))
    # At every timestep all that is kept: latents, what was learned, losses, and the state of the random numbers.
    digests = {step.timestep: step.digest for step in expected}
    assert all(step.digest == digests[step.timestep] for steps in attempts for step in steps)
    assert _files(deployment, done) == _files(deployment, expected_job)


def _invert(deployment: Deployment, method: InversionMethod, *, tenant: str) -> Job:
    # Tenants share no work: what another has computed is computed again.
    order = Order(tenant=tenant, max_attempts=_KILLS + 1)
    return deployment.caller.invert(order, method=method, parameters=_METHODS[method], seed=7)


def _computed(deployment: Deployment) -> list[_Step]:
    lines = [line.split() for line in steps_in(deployment.journal)]
    return [_Step(process, int(timestep), digest) for process, timestep, digest in lines]


def _there_and_back(total: int, numbers: random.Random) -> list[int]:
    """Two timesteps of the way into the noise, three of the way back."""
    there, back = range(1, total // 2), range(total // 2 + 1, total - _LATE)
    return [*numbers.sample(there, 2), *numbers.sample(back, _KILLS - 2)]


def _by_attempt(steps: list[_Step]) -> list[list[_Step]]:
    return [list(its) for _, its in groupby(steps, lambda step: step.process)]


def _files(deployment: Deployment, job: Job) -> dict[str, bytes]:
    return {artifact.name: deployment.caller.store.get(artifact.key) for artifact in job.artifacts}
