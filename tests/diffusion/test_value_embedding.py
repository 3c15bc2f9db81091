"""Value embedding: a free value input per timestep."""

import torch

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import Role
from core.diffusion.driver import drive
from core.diffusion.inversion.ddim import invert_ddim
from core.diffusion.inversion.trace import Subject
from core.diffusion.inversion.value_embedding import invert_value_embedding
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import DdimSpec, ValueEmbeddingSpec
from tests.diffusion.tiny import Watched, losses_of, text_of


def test_each_timestep_lowers_its_loss(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = ValueEmbeddingSpec(timesteps=4, inner_steps=6, stop_loss=0, stop_slope=0)

    _, losses = losses_of(invert_value_embedding(spec, subject, schedule), backbone)

    assert all(row[-1] < row[0] for row in losses)


def test_it_reconstructs_better_than_ddim(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = ValueEmbeddingSpec(timesteps=4, inner_steps=10, attention_loss=0, stop_loss=0, stop_slope=0)

    learned = drive(invert_value_embedding(spec, subject, schedule), backbone)

    plain = drive(invert_ddim(DdimSpec(timesteps=4), subject, schedule), backbone)
    assert (learned.path[-1] - subject.latent).square().mean() < (plain.path[-1] - subject.latent).square().mean()


def test_it_starts_at_the_source_prompt(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """A first timestep that is enough at once leaves its start as it is."""
    spec = ValueEmbeddingSpec(timesteps=4, guidance=1.0, stop_loss=1.0)

    inversion = drive(invert_value_embedding(spec, subject, schedule), backbone)

    inputs = inversion.conditioning.at(0, subject.source, Role.SOURCE)
    assert torch.equal(inputs.value, subject.source)


def test_keys_stay_the_text(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    target, watched = text_of(backbone, "a blue star on grass"), Watched(backbone)
    spec = ValueEmbeddingSpec(timesteps=4, inner_steps=1, stop_loss=0, stop_slope=0)

    inversion = drive(invert_value_embedding(spec, subject, schedule), watched)

    ours, theirs = (
        inversion.conditioning.at(2, text, role)
        for text, role in ((subject.source, Role.SOURCE), (target, Role.TARGET))
    )
    assert torch.equal(ours.key, subject.source)
    assert torch.equal(theirs.key, target)
    assert torch.equal(theirs.value, ours.value)
    assert not torch.equal(ours.value, subject.source)
