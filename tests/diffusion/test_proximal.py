"""Proximal guidance: what is dropped, what is kept, and what is held to the source."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.negative_prompt import invert_negative_prompt
from core.diffusion.inversion.sampling_rules import Outputs, ProximalRule
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.inversion_parts import Correction, Threshold
from core.domain.inversion_specs import NegativePromptSpec, ProximalSpec
from tests.diffusion.inverting import edit_of, sample

_GENERATOR = torch.Generator().manual_seed(3)
_LATENT, _CONDITIONAL, _UNCONDITIONAL = torch.randn(3, 4, 16, 16, generator=_GENERATOR, dtype=torch.float64)
_TRACE = torch.randn(5, 4, 16, 16, generator=_GENERATOR, dtype=torch.float64)
_DIFFERENCE = _CONDITIONAL - _UNCONDITIONAL


def _advance(spec: ProximalSpec, schedule: Schedule, index: int) -> Tensor:
    outputs = Outputs(_CONDITIONAL, _UNCONDITIONAL, spec.guidance)
    return ProximalRule(spec, _TRACE).advance(schedule, _LATENT, outputs, index=index)


def _plain(schedule: Schedule, kept: Tensor, *, index: int) -> Tensor:
    return schedule.step(_LATENT, _UNCONDITIONAL + 7.5 * kept, schedule.timesteps[index])


@pytest.mark.parametrize("correction", Correction)
@pytest.mark.parametrize("threshold", Threshold)
def test_without_a_threshold_it_is_negative_prompt_bit_for_bit(
    backbone: Backbone, subject: Subject, schedule: Schedule, threshold: Threshold, correction: Correction
) -> None:
    spec = ProximalSpec(
        timesteps=4, quantile=0.0, threshold=threshold, correction=correction, correction_window=1.0, dilation=0
    )
    proximal = drive(invert_negative_prompt(spec, subject, schedule), backbone)
    negative = drive(invert_negative_prompt(NegativePromptSpec(timesteps=4), subject, schedule), backbone)

    assert torch.equal(proximal.path, negative.path)
    edited, expected = (
        sample(edit_of(backbone, each, guidance=7.5), schedule, predictor=backbone) for each in (proximal, negative)
    )
    assert torch.equal(edited.latent, expected.latent)


def test_hard_keeps_the_largest_guidance_as_it_is(schedule: Schedule) -> None:
    spec = ProximalSpec(timesteps=4, quantile=0.75, correction=Correction.NONE)

    following = _advance(spec, schedule, 0)

    kept = torch.where(_DIFFERENCE.abs() > torch.quantile(_DIFFERENCE.abs(), 0.75), _DIFFERENCE, 0.0)
    assert int((kept != 0).sum()) == _DIFFERENCE.numel() // 4
    torch.testing.assert_close(following, _plain(schedule, kept, index=0), rtol=0, atol=1e-12)


def test_soft_also_shortens_what_it_keeps(schedule: Schedule) -> None:
    spec = ProximalSpec(timesteps=4, quantile=0.75, threshold=Threshold.SOFT, correction=Correction.NONE)

    following = _advance(spec, schedule, 0)

    limit = torch.quantile(_DIFFERENCE.abs(), 0.75)
    kept = _DIFFERENCE.sign() * (_DIFFERENCE.abs() - limit).clamp_min(0)
    torch.testing.assert_close(following, _plain(schedule, kept, index=0), rtol=0, atol=1e-12)


def test_the_published_quantile_counts_a_row_of_zeros(schedule: Schedule) -> None:
    """0.7 of both rows is 0.4 of the target's, up to the place between two values."""
    spec = ProximalSpec(timesteps=4, quantile=0.7, threshold=Threshold.PUBLISHED, correction=Correction.NONE)

    following = _advance(spec, schedule, 0)

    soft = spec.model_copy(update={"threshold": Threshold.SOFT, "quantile": 0.4})
    torch.testing.assert_close(following, _advance(soft, schedule, 0), rtol=0, atol=0.02)


def test_the_published_mask_is_tested_after_shortening(schedule: Schedule) -> None:
    """So a place needs twice the threshold to escape the correction."""
    spec = ProximalSpec(timesteps=4, threshold=Threshold.PUBLISHED, dilation=0)

    following = _advance(spec, schedule, 3)

    limit = torch.quantile(torch.cat([_DIFFERENCE.abs(), torch.zeros_like(_DIFFERENCE)]), 0.7)
    assert torch.equal(following == _TRACE[0], _DIFFERENCE.abs() <= 2 * limit)


@pytest.mark.parametrize("dilation", [0, 1, 2])
def test_places_without_guidance_are_held_to_the_trace(schedule: Schedule, dilation: int) -> None:
    spec = ProximalSpec(timesteps=4, quantile=0.9, dilation=dilation)

    following = _advance(spec, schedule, 3)

    acts = _DIFFERENCE.abs() > torch.quantile(_DIFFERENCE.abs(), 0.9)
    free = F.max_pool2d(acts.double(), 2 * dilation + 1, stride=1, padding=dilation) > 0
    assert torch.equal(following[~free], _TRACE[0][~free])
    kept = torch.where(acts, _DIFFERENCE, 0.0)
    torch.testing.assert_close(following[free], _plain(schedule, kept, index=3)[free], rtol=0, atol=1e-12)


def test_reconstruction_pulls_the_predicted_image_to_the_sources(schedule: Schedule) -> None:
    spec = ProximalSpec(timesteps=4, quantile=1.0, correction=Correction.RECONSTRUCTION)

    following = _advance(spec, schedule, 3)

    # Nothing is above the largest, so all of it is pulled: the image is the source's, the noise stays the step's.
    here, there = schedule.alpha(1), schedule.alpha(1 - schedule.stride)
    noise = (_LATENT - here**0.5 * schedule.clean(_LATENT, _UNCONDITIONAL, 1)) / (1 - here) ** 0.5
    expected = there**0.5 * _TRACE[0] + (1 - there) ** 0.5 * noise
    torch.testing.assert_close(following, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("index", "held"), [(1, False), (2, True)])
def test_the_correction_acts_in_the_last_timesteps_alone(schedule: Schedule, index: int, *, held: bool) -> None:
    spec = ProximalSpec(timesteps=4, correction_window=0.5)

    following = _advance(spec, schedule, index)

    assert bool((following == _TRACE[-2 - index]).any()) is held


def test_the_path_follows_the_trace_where_it_is_corrected(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    """The source has no guidance to keep."""
    spec = ProximalSpec(timesteps=4, correction_window=0.5)

    inversion = drive(invert_negative_prompt(spec, subject, schedule), backbone)

    assert torch.equal(inversion.path[3:], inversion.trace.flip(0)[3:])
    assert not torch.equal(inversion.path[2], inversion.trace[2])
