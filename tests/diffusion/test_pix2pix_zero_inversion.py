"""Regularised noise: what it lowers, what it leaves, and where it comes from."""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.pix2pix_zero import autocorrelation, divergence, regularise
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Prediction, Schedule
from core.domain.inversion_specs import DdimSpec, InversionSpec, NegativePromptSpec, Pix2PixZeroInversionSpec

_PLAIN: dict[str, Any] = {"timesteps": 4, "guidance": 3.0}
_SHORT: dict[str, Any] = {**_PLAIN, "regularisation_steps": 1}


def _smooth(side: int, *, deviation: float = 0.6) -> Tensor:
    """Noise whose neighbours are alike."""
    noise = torch.randn(4, side, side, generator=Generator().manual_seed(3), dtype=torch.float64)
    smooth = noise + noise.roll(1, dims=-1) + noise.roll(2, dims=-2)
    return smooth / smooth.std() * deviation


def _mean_autocorrelation(noise: Tensor) -> float:
    return sum(float(autocorrelation(noise, generator=Generator().manual_seed(seed))) for seed in range(40)) / 40


def _inverted(spec: InversionSpec, backbone: Backbone, subject: Subject, schedule: Schedule, *, seed: int) -> Inversion:
    return drive(invert(spec, subject, schedule, seed=seed), backbone)


@pytest.mark.parametrize("side", [16, 64])
def test_regularisation_lowers_the_autocorrelation(side: int) -> None:
    noise = _smooth(side)
    spec = Pix2PixZeroInversionSpec(regularisation_steps=20, autocorrelation_weight=100.0, divergence_weight=0.0)

    settled = regularise(spec, noise, generator=Generator().manual_seed(0))

    assert _mean_autocorrelation(settled) < 0.95 * _mean_autocorrelation(noise)


@pytest.mark.parametrize("side", [16, 64])
def test_a_weight_means_the_same_at_every_size(side: int) -> None:
    """Alone the divergence draws mean and deviation to those of a standard normal distribution, equally fast."""
    noise = _smooth(side) + 0.3
    spec = Pix2PixZeroInversionSpec(autocorrelation_weight=0.0)

    settled = regularise(spec, noise, generator=Generator().manual_seed(0))

    assert divergence(settled) < divergence(noise)
    assert float(settled.mean() / noise.mean()) == pytest.approx(1 - 5 * 40 / (4 * 64 * 64), abs=1e-3)


def test_autocorrelation_is_the_mean_product_with_rolled_noise() -> None:
    """On a grid of 4 the one distance that is drawn is 1, and there is no coarser level."""
    noise = torch.randn(2, 4, 4, generator=Generator().manual_seed(1), dtype=torch.float64)
    expected = sum((channel * channel.roll(1, dims=axis)).mean() ** 2 for channel in noise for axis in (0, 1))

    found = autocorrelation(noise, generator=Generator().manual_seed(0))

    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [4, 16, 24, 64, 96])
def test_no_roll_is_of_0(side: int) -> None:
    """A lone place is uncorrelated with itself at every other distance; at 0 its power would show."""
    noise = torch.zeros(1, side, side, dtype=torch.float64)
    noise[0, 0, 0] = 100.0

    assert all(autocorrelation(noise, generator=Generator().manual_seed(seed)) == 0 for seed in range(100))


def test_the_seed_draws_the_rolls(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = Pix2PixZeroInversionSpec(**_SHORT)

    first, again, other = (_inverted(spec, backbone, subject, schedule, seed=seed) for seed in (1, 1, 2))

    assert torch.equal(first.trace, again.trace)
    assert not torch.equal(first.trace, other.trace)


def test_without_regularisation_the_trace_is_ddims_and_the_path_negative_prompts(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    plain = _inverted(Pix2PixZeroInversionSpec(**_PLAIN, regularisation_steps=0), backbone, subject, schedule, seed=0)

    traced = _inverted(DdimSpec(**_PLAIN), backbone, subject, schedule, seed=0)
    negative = _inverted(NegativePromptSpec(**_PLAIN), backbone, subject, schedule, seed=0)
    torch.testing.assert_close(plain.trace, traced.trace, rtol=0, atol=1e-12)
    torch.testing.assert_close(plain.path, negative.path, rtol=0, atol=1e-12)


def test_guidance_does_not_move_the_path(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    strong, none = (
        _inverted(Pix2PixZeroInversionSpec(**{**_SHORT, "guidance": w}), backbone, subject, schedule, seed=0)
        for w in (7.5, 1.0)
    )

    assert torch.equal(strong.path, none.path)


@pytest.mark.parametrize("prediction", Prediction)
def test_settled_noise_takes_the_place_of_what_was_predicted(prediction: Prediction, schedule: Schedule) -> None:
    """Whatever the output means, the latent is made of the image that it and the settled noise leave."""
    schedule = Schedule(schedule.alphas, schedule.timesteps, schedule.stride, prediction)
    latent, output, noise = torch.randn(3, 4, 8, 8, generator=Generator().manual_seed(0), dtype=torch.float64)

    moved = schedule.invert(latent, output, 501, settle=lambda _: noise)
    kept = schedule.invert(latent, output, 501, settle=lambda predicted: predicted)

    here, there = (schedule.alpha(timestep) for timestep in (501 - schedule.stride, 501))
    clean = (latent - (1 - here) ** 0.5 * noise) / here**0.5
    torch.testing.assert_close(moved, there**0.5 * clean + (1 - there) ** 0.5 * noise, rtol=0, atol=1e-12)
    torch.testing.assert_close(kept, schedule.invert(latent, output, 501), rtol=0, atol=1e-12)
