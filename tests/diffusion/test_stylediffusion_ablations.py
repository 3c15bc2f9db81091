"""What StyleDiffusion's ablations feed and which losses they leave out."""

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import ModulatedConditioning, Role
from core.diffusion.driver import drive
from core.diffusion.inversion.stylediffusion import invert_stylediffusion
from core.diffusion.inversion.trace import Subject
from core.diffusion.mapping import modulate
from core.diffusion.schedule import Schedule
from core.domain.inversion_parts import Feeds, Head
from core.domain.inversion_specs import StyleDiffusionSpec
from tests.diffusion.tiny import Watched, losses_of, text_of


@pytest.mark.parametrize("feeds", Feeds)
def test_what_is_learned_feeds_the_layers_asked_for(backbone: Backbone, feeds: Feeds) -> None:
    text = text_of(backbone, "a blue star on grass")
    modulations = torch.randn(1, 2 * len(text), text.shape[1], dtype=torch.float64)
    conditioning = ModulatedConditioning(Head.MODULATE, feeds, modulations, torch.zeros_like(text))

    inputs = conditioning.at(0, text, Role.TARGET)

    learned = modulate(Head.MODULATE, modulations[0], text)
    assert torch.equal(inputs.key, text if feeds is Feeds.VALUE else learned)
    assert torch.equal(inputs.value, text if feeds is Feeds.KEY else learned)


@pytest.mark.parametrize("feeds", Feeds)
def test_each_timestep_lowers_its_loss(backbone: Backbone, subject: Subject, schedule: Schedule, feeds: Feeds) -> None:
    spec = StyleDiffusionSpec(timesteps=4, feeds=feeds, inner_steps=5, stop_loss=0, stop_slope=0)

    _, losses = losses_of(invert_stylediffusion(spec, subject, schedule, seed=0), backbone)

    assert all(row[-1] < row[0] for row in losses)


@pytest.mark.parametrize(("weight", "recorded"), [(1.0, True), (0.0, False)])
def test_without_attention_loss_no_map_is_read(
    backbone: Backbone, subject: Subject, schedule: Schedule, weight: float, *, recorded: bool
) -> None:
    watched = Watched(backbone)
    spec = StyleDiffusionSpec(timesteps=4, inner_steps=1, attention_loss=weight, stop_loss=0, stop_slope=0)

    drive(invert_stylediffusion(spec, subject, schedule, seed=0), watched)

    fitting = [control for control, descends in zip(watched.controls, watched.descents, strict=True) if descends]
    assert [bool(control.maps) for control in fitting] == [recorded] * 4
