"""Pix2pix-zero's editor: without a direction nothing moves, and its guidance draws the maps together."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from core.diffusion.attention.sites import Kind, Place, Site
from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.pix2pix_zero import direction, map_loss
from core.diffusion.editing.subject import EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_edit
from core.domain.edit_specs import Pix2PixZeroSpec
from tests.diffusion.inverting import SOURCE, SPECS, drive_together, edit_of, sample
from tests.diffusion.tiny import Watched, losses_of, text_of

_NOWHERE = Pix2PixZeroSpec(source_sentences=(SOURCE, "red"), target_sentences=(SOURCE, "red"), value_window=1.0)


@pytest.fixture(scope="module")
def inverted(backbone: Backbone, subject: Subject, schedule: Schedule) -> Callable[[str], Inversion]:
    """The inversion of a method, made once."""
    return cache(lambda name: drive(invert(SPECS[name], subject, schedule, seed=0), backbone))


@pytest.mark.parametrize("name", ["pix2pix_zero", "ddim", "stylediffusion", "null_text"])
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_without_a_direction_the_edit_is_the_reconstruction(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion], name: str, rate: float
) -> None:
    inversion, spec = inverted(name), _NOWHERE.model_copy(update={"guidance_rate": rate})

    edited = sample(edit_of(backbone, inversion, spec=spec), schedule, spec=spec, predictor=backbone)

    torch.testing.assert_close(edited.latent, inversion.path[-1], rtol=0, atol=1e-9)


def test_the_direction_leads_from_mean_to_mean(backbone: Backbone, inverted: Callable[[str], Inversion]) -> None:
    spec = Pix2PixZeroSpec(source_sentences=("red", "a red circle"), target_sentences=("blue",))

    found = direction(edit_of(backbone, inverted("pix2pix_zero"), spec=spec))

    red, circle, blue = (text_of(backbone, sentence) for sentence in ("red", "a red circle", "blue"))
    torch.testing.assert_close(found, blue - (red + circle) / 2, rtol=0, atol=1e-12)


def test_the_edit_samples_the_source_moved_along_the_direction(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion]
) -> None:
    """With the prompts themselves as sentences that is the target prompt: without guidance by maps, a word swap."""
    inversion, target = inverted("pix2pix_zero"), "a blue star on grass"
    spec = Pix2PixZeroSpec(source_sentences=(SOURCE,), target_sentences=(target,), guidance_rate=0.0)

    edited = sample(edit_of(backbone, inversion, spec=spec), schedule, spec=spec, predictor=backbone)

    swapped = sample(edit_of(backbone, inversion, target=target), schedule, predictor=backbone)
    torch.testing.assert_close(edited.latent, swapped.latent, rtol=0, atol=1e-9)


def _map_losses(subject: EditSubject, backbone: Backbone, schedule: Schedule, *, rate: float) -> list[float]:
    spec = Pix2PixZeroSpec(guidance_rate=rate)
    _, losses = losses_of(edit(spec, subject, schedule, seed=0), backbone)
    return [loss for row in losses for loss in row]


def test_guidance_lowers_the_difference_of_the_maps(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion]
) -> None:
    """At the first timestep nothing is guided yet; a rate of next to nothing shows the others without guidance."""
    subject = edit_of(backbone, inverted("pix2pix_zero"), spec=Pix2PixZeroSpec())

    free, guided = (_map_losses(subject, backbone, schedule, rate=rate) for rate in (1e-9, 0.1))

    assert len(free) == 4
    assert guided[0] == free[0]
    assert all(held < loose for held, loose in zip(guided[1:], free[1:], strict=True))


def test_the_difference_is_summed_over_places_and_averaged_over_heads() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = {
        Site(str(side), Kind.CROSS, Place.UP, side=side, full_side=4): torch.rand(1, 2, side**2, 5, generator=generator)
        for side in (2, 4)
    }
    nothing = {site: torch.zeros_like(own) for site, own in maps.items()}

    expected = sum(float((own**2).sum()) / 2 for own in maps.values())
    assert float(map_loss(maps, nothing)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.0])
def test_passes_are_the_announced_cost(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion], rate: float
) -> None:
    spec, watched = Pix2PixZeroSpec(guidance_rate=rate), Watched(backbone)

    sample(edit_of(backbone, inverted("pix2pix_zero"), spec=spec), schedule, spec=spec, predictor=watched)

    cost = cost_of_edit(spec, timesteps=4)
    backwards = sum(rows for rows, descends in zip(watched.rows, watched.descents, strict=True) if descends)
    assert (sum(watched.rows), backwards) == (cost.unet_forwards, cost.unet_backwards)
    assert watched.rows == ([1, 1, 2] if rate else [2]) * 4


def test_alone_and_in_a_batch_are_equal(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion]
) -> None:
    spec = Pix2PixZeroSpec()
    one, two = (
        edit_of(backbone, inverted("pix2pix_zero"), target=target, spec=spec)
        for target in ("a blue star on grass", "a green heart on sand")
    )

    together = drive_together([edit(spec, each, schedule, seed=0) for each in (one, two)], backbone)

    for edited, each in zip(together, (one, two), strict=True):
        alone: Tensor = sample(each, schedule, spec=spec, predictor=backbone).latent
        torch.testing.assert_close(edited.latent, alone, rtol=0, atol=1e-9)


def test_outside_its_region_the_path_stands(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion]
) -> None:
    inversion, spec = inverted("pix2pix_zero"), Pix2PixZeroSpec()
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[4:12, 4:12] = True

    subject = replace(edit_of(backbone, inversion, spec=spec), region=region)
    edited = sample(subject, schedule, spec=spec, predictor=backbone)

    assert torch.equal(edited.latent[:, ~region], inversion.path[-1][:, ~region])
    assert not torch.equal(edited.latent[:, region], inversion.path[-1][:, region])
