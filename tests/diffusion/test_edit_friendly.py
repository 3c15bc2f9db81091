"""Edit-friendly DDPM: noise of its own at each timestep."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.edit_friendly import invert_edit_friendly
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Prediction, Schedule
from core.domain.inversion_specs import EditFriendlySpec
from tests.diffusion.inverting import SOURCE, edit_of, sample
from tests.diffusion.tiny import Watched

_CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
_SPEC = EditFriendlySpec(timesteps=4, skip=0.25, source_guidance=3.5)


def _new(kind: Any, config: dict[str, Any]) -> Any:
    return kind(**config)  # diffusers has no types for its constructors


def _invert(backbone: Backbone, subject: Subject, schedule: Schedule, *, seed: int = 0) -> Inversion:
    return drive(invert_edit_friendly(_SPEC, subject, schedule, seed=seed), backbone)


@pytest.mark.parametrize("prediction", Prediction)
def test_a_step_with_noise_is_ddpms(prediction: Prediction) -> None:
    """As diffusers computes it with eta = 1."""
    config = {**_CONFIG, "steps_offset": 1, "prediction_type": prediction.value}
    schedule = Schedule.from_config(config, 10)
    theirs = _new(DDIMScheduler, {**config, "clip_sample": False, "set_alpha_to_one": False})
    theirs.set_timesteps(10)
    latent, output, noise = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    for timestep in schedule.timesteps:
        stepped = schedule.step(latent, output, timestep, noise=noise)

        expected = theirs.step(output, timestep, latent, eta=1.0, variance_noise=noise).prev_sample
        torch.testing.assert_close(stepped, expected, rtol=0, atol=1e-4)


def test_the_source_as_its_own_target_gives_the_image(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    inversion = _invert(backbone, subject, schedule)
    edit = edit_of(backbone, inversion, target=SOURCE, guidance=_SPEC.source_guidance)

    edited = sample(edit, schedule, predictor=backbone)

    torch.testing.assert_close(inversion.path[-1], subject.latent, rtol=0, atol=1e-12)
    torch.testing.assert_close(edited.latent, subject.latent, rtol=0, atol=1e-8)


def test_it_gives_the_image_at_offset_nought_too(backbone: Backbone, subject: Subject) -> None:
    """There the last timestep adds no noise, so its latent has to be the image's own."""
    schedule = Schedule.from_config({**_CONFIG, "steps_offset": 0}, 4)

    inversion = _invert(backbone, subject, schedule)

    assert schedule.sigma(0) == 0
    torch.testing.assert_close(inversion.path[-1], subject.latent, rtol=0, atol=1e-12)


def test_skipped_timesteps_are_neither_inverted_nor_sampled(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    watched = Watched(backbone)

    inversion = drive(invert_edit_friendly(_SPEC, subject, schedule, seed=0), watched)
    sample(edit_of(backbone, inversion), schedule, predictor=watched)

    assert len(inversion.path) == 4
    assert watched.rows == [2] * 6


def test_the_seed_draws_the_noise(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    first, again, other = (_invert(backbone, subject, schedule, seed=seed) for seed in (0, 0, 1))

    assert torch.equal(first.conditioning.tensors()["noises"], again.conditioning.tensors()["noises"])
    assert not torch.equal(first.path[0], other.path[0])


def test_each_level_has_noise_of_its_own(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    inversion = _invert(backbone, subject, schedule)

    noises = [
        ((latent - schedule.alpha(timestep) ** 0.5 * subject.latent) / (1 - schedule.alpha(timestep)) ** 0.5).flatten()
        for latent, timestep in zip(inversion.path, schedule.timesteps[1:], strict=False)
    ]
    correlation = torch.corrcoef(torch.stack(noises))
    assert (correlation - torch.eye(3)).abs().max() < 0.1
