"""Inversions by the true engine whose workers are killed five times, beside straight runs of the same."""

import random
from collections.abc import Iterator
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
# The method that learns most, and one that draws random numbers as it goes.
_METHODS: dict[InversionMethod, dict[str, Any]] = {
    InversionMethod.STYLEDIFFUSION: {"timesteps": 14, "inner_steps": 2, "stop_loss": 0.0, "stop_slope": 0.0},
    InversionMethod.PIX2PIX_ZERO: {"timesteps": 30, "regularisation_steps": 2},
}


@dataclass(frozen=True, slots=True)
class _Step:
    """One timestep that was computed; the digest is of its whole checkpoint."""

    process: str
    timestep: int
    digest: str


@pytest.fixture
def alone(tmp_path: Path, model: Model) -> Iterator[Deployment]:
    """A deployment whose worker runs one job at a time; its lease is as long as usual, for slow machines."""
    with Deployment({"DATA_DIR": str(tmp_path), **PACE, "LEASE_SECONDS": "60", "SLOTS": "1"}, model=model) as running:
        yield running


@pytest.mark.parametrize("method", _METHODS)
def test_an_inversion_killed_five_times_equals_the_straight_run(alone: Deployment, method: InversionMethod) -> None:
    straight = _submit(alone, method, tenant="straight")
    with alone.worker(timestep_seconds=None):
        expected_job = alone.wait_for(straight, JobState.SUCCEEDED)
    expected = _computed(alone)

    killed = _submit(alone, method, tenant="killed")
    for timestep in _random_timesteps(len(expected), random.Random(method)):
        seen = len(_computed(alone))
        with alone.worker(timestep_seconds=None):
            alone.wait_for_steps(seen + 1)
            wait_until(lambda: _computed(alone)[-1].timestep >= timestep, f"timestep {timestep}")  # noqa: B023 - called at once
    with alone.worker(timestep_seconds=None):
        done = alone.wait_for(killed, JobState.SUCCEEDED)

    attempts = _by_attempt(_computed(alone)[len(expected) :])
    assert (done.attempt, len(attempts)) == (_KILLS + 1, _KILLS + 1)
    # An attempt begins after what the one before has kept, or with the one timestep that it had not kept yet.
    assert all(later[0].timestep - earlier[-1].timestep in {0, 1} for earlier, later in pairwise(attempts))
    # At every timestep all that is kept: latents, what was learned, losses, and the state of the random numbers.
    digests = {step.timestep: step.digest for step in expected}
    assert all(step.digest == digests[step.timestep] for steps in attempts for step in steps)
    assert _files(alone, done) == _files(alone, expected_job)


def _submit(deployment: Deployment, method: InversionMethod, *, tenant: str) -> Job:
    # Tenants share no work: what another has computed is computed again.
    order = Order(tenant=tenant, max_attempts=_KILLS + 1)
    return deployment.caller.invert(order, method=method, parameters=_METHODS[method], seed=7)


def _computed(deployment: Deployment) -> list[_Step]:
    lines = [line.split() for line in steps_in(deployment.journal)]
    return [_Step(process, int(timestep), digest) for process, timestep, digest in lines]


def _random_timesteps(total: int, numbers: random.Random) -> list[int]:
    """Two of the way into the noise, three of the way back."""
    there, back = range(1, total // 2), range(total // 2 + 1, total - _LATE)
    return [*sorted(numbers.sample(there, 2)), *sorted(numbers.sample(back, _KILLS - 2))]


def _by_attempt(steps: list[_Step]) -> list[list[_Step]]:
    return [list(its) for _, its in groupby(steps, lambda step: step.process)]


def _files(deployment: Deployment, job: Job) -> dict[str, bytes]:
    return {artifact.name: deployment.caller.store.get(artifact.key) for artifact in job.artifacts}
