"""SDEdit between its ends: pure noise at strength 1, the picture at 0."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import PlainConditioning, Role
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_edit
from core.domain.edit_specs import EditSpec, SdEditSpec
from tests.diffusion.inverting import TARGET, edit_of, sample
from tests.diffusion.tiny import Watched, text_of


@pytest.fixture(scope="module")
def plain(backbone: Backbone, inversion: Inversion) -> Inversion:
    """The picture with a conditioning that says nothing about it."""
    return replace(inversion, conditioning=PlainConditioning(text_of(backbone, "")))


def _edit(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, *, spec: EditSpec, seed: int = 0
) -> tuple[Tensor, Watched]:
    watched = Watched(backbone)
    edited = sample(edit_of(backbone, inversion), schedule, predictor=watched, spec=spec, seed=seed)
    return edited.latent, watched


@pytest.mark.parametrize(("strength", "equal"), [(1.0, True), (0.75, False)])
def test_at_full_strength_the_picture_has_no_say(
    backbone: Backbone, plain: Inversion, schedule: Schedule, *, strength: float, equal: bool
) -> None:
    other = replace(plain, trace=plain.trace.flip(-1), path=plain.path.flip(-1))

    one, two = (
        _edit(backbone, each, schedule, spec=SdEditSpec(strength=strength), seed=3)[0] for each in (plain, other)
    )

    assert torch.equal(one, two) is equal


def test_at_full_strength_it_starts_from_the_seeds_noise(
    backbone: Backbone, plain: Inversion, schedule: Schedule
) -> None:
    _, watched = _edit(backbone, plain, schedule, spec=SdEditSpec(strength=1.0), seed=5)

    noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(5)).double()
    assert torch.equal(watched.latents[0], torch.stack([noise, noise]))


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_without_a_timestep_it_is_the_picture(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, strength: float
) -> None:
    latent, watched = _edit(backbone, inversion, schedule, spec=SdEditSpec(strength=strength))

    assert torch.equal(latent, inversion.trace[0])
    assert watched.rows == []


def test_between_the_ends_it_starts_from_the_noised_picture(
    backbone: Backbone, plain: Inversion, schedule: Schedule
) -> None:
    """The schedule's share of picture and noise at the first timestep that is sampled."""
    _, watched = _edit(backbone, plain, schedule, spec=SdEditSpec(strength=0.5), seed=5)

    noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(5)).double()
    alpha = schedule.alpha(schedule.timesteps[2])
    expected = alpha**0.5 * plain.trace[0] + (1 - alpha) ** 0.5 * noise
    torch.testing.assert_close(watched.latents[0][0], expected, rtol=0, atol=1e-9)


def test_the_seed_decides(backbone: Backbone, plain: Inversion, schedule: Schedule) -> None:
    first, again, other = (
        _edit(backbone, plain, schedule, spec=SdEditSpec(strength=0.5), seed=seed)[0] for seed in (1, 1, 2)
    )

    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.8, 1.0])
def test_passes_are_the_announced_cost(
    backbone: Backbone, plain: Inversion, schedule: Schedule, strength: float
) -> None:
    spec = SdEditSpec(strength=strength)

    _, watched = _edit(backbone, plain, schedule, spec=spec)

    assert watched.rows == [2] * int(strength * 4)
    assert sum(watched.rows) == cost_of_edit(spec, timesteps=4).unet_forwards


def test_what_was_learned_is_used_at_its_own_timesteps(
    backbone: Backbone, inversion: Inversion, schedule: Schedule
) -> None:
    """Of four timesteps the last three are sampled; learned values end before the last."""
    _, watched = _edit(backbone, inversion, schedule, spec=SdEditSpec(strength=0.75, value_window=0.75))

    text = text_of(backbone, TARGET)
    learned = [inversion.conditioning.at(index, text, Role.TARGET).value for index in (1, 2)]
    values = [control.values[0] for control in watched.controls if control.values is not None]
    assert len(values) == 3
    assert all(torch.equal(value, expected) for value, expected in zip(values, [*learned, text], strict=True))
    assert not torch.allclose(learned[0], learned[1], atol=1e-6)
