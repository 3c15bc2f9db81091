"""DDIM inversion: the trace and the way back."""

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import PlainConditioning
from core.diffusion.driver import drive
from core.diffusion.inversion.ddim import invert_ddim
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Reached
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import DdimSpec
from tests.diffusion.tiny import Watched


@pytest.mark.parametrize(("guidance", "branches"), [(1.0, 1), (7.5, 2)])
def test_the_way_back_takes_the_branches_that_count(
    backbone: Backbone, subject: Subject, schedule: Schedule, guidance: float, branches: int
) -> None:
    watched = Watched(backbone)

    inversion = drive(invert_ddim(DdimSpec(timesteps=4, guidance=guidance), subject, schedule), watched)

    assert watched.rows == [1] * 4 + [branches] * 4
    assert isinstance(inversion.conditioning, PlainConditioning)
    assert torch.equal(inversion.conditioning.null, subject.null)


def test_word_maps_are_a_distribution_over_the_prompts_tokens(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    inversion = drive(invert_ddim(DdimSpec(timesteps=4), subject, schedule), backbone)

    assert inversion.word_maps.shape == (256, 32)
    torch.testing.assert_close(inversion.word_maps.sum(-1), torch.ones(256, dtype=torch.float64))


def test_every_timestep_is_reported(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    seen: list[Reached] = []

    inversion = drive(invert_ddim(DdimSpec(timesteps=4), subject, schedule), backbone, seen.append)

    assert [(reached.done, reached.total) for reached in seen] == [(n, 8) for n in range(1, 9)]
    assert torch.equal(seen[3].latents, inversion.trace[-1])
    assert torch.equal(seen[-1].latents, inversion.path[-1])


def test_an_observer_may_stop_a_solver(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    watched = Watched(backbone)

    def stop(reached: Reached) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(invert_ddim(DdimSpec(timesteps=4), subject, schedule), watched, stop)
    assert watched.rows == [1]
