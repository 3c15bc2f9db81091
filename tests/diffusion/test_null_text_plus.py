"""Null-text with an attention loss, on the maps of the branch that is learned."""

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.null_text import invert_null_text
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import NullTextSpec
from tests.diffusion.tiny import losses_of


@pytest.mark.parametrize(("weight", "moved"), [(1.0, True), (0.0, False)])
def test_at_guidance_one_the_attention_loss_alone_moves_the_embedding(
    backbone: Backbone, subject: Subject, schedule: Schedule, weight: float, *, moved: bool
) -> None:
    """There the unconditional branch has no part in the latent."""
    spec = NullTextSpec(timesteps=4, guidance=1.0, attention_loss=weight, inner_steps=2, stop_loss=0, stop_slope=0)

    inversion = drive(invert_null_text(spec, subject, schedule), backbone)

    assert torch.equal(inversion.conditioning.tensors()["nulls"][0], subject.null) is not moved


def test_each_timestep_lowers_its_loss(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = NullTextSpec(timesteps=4, attention_loss=1.0, inner_steps=6, stop_loss=0, stop_slope=0)

    _, losses = losses_of(invert_null_text(spec, subject, schedule), backbone)

    assert all(row[-1] < row[0] for row in losses)
