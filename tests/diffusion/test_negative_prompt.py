"""Negative-prompt inversion: the source prompt in the empty prompt's place."""

import torch

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import Role
from core.diffusion.driver import drive
from core.diffusion.inversion.negative_prompt import invert_negative_prompt
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import NegativePromptSpec
from tests.diffusion.inverting import SOURCE, edit_of, sample
from tests.diffusion.tiny import Watched, text_of


def test_the_source_needs_no_guidance(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    watched = Watched(backbone)

    guided, free = (
        drive(invert_negative_prompt(NegativePromptSpec(timesteps=4, guidance=w), subject, schedule), watched)
        for w in (7.5, 1.0)
    )

    assert torch.equal(guided.path, free.path)
    assert watched.rows == [1] * 16


def test_the_source_as_its_own_target_gives_the_path(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """With both branches really computed, at any guidance."""
    inversion = drive(invert_negative_prompt(NegativePromptSpec(timesteps=4), subject, schedule), backbone)
    watched = Watched(backbone)

    edited = sample(edit_of(backbone, inversion, target=SOURCE, guidance=7.5), schedule, predictor=watched)

    assert watched.rows == [2] * 4
    torch.testing.assert_close(edited.latent, inversion.path[-1], rtol=0, atol=1e-10)


def test_a_target_is_guided_away_from_the_source_prompt(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    inversion = drive(invert_negative_prompt(NegativePromptSpec(timesteps=4), subject, schedule), backbone)

    inputs = inversion.conditioning.at(0, text_of(backbone, "a blue star on grass"), Role.TARGET)

    assert torch.equal(inputs.null, subject.source)
