"""Text embedding: the source prompt's own embedding, learned per timestep."""

import torch

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import Role
from core.diffusion.driver import drive
from core.diffusion.inversion.text_embedding import invert_text_embedding
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import P2pSpec
from core.domain.inversion_specs import TextEmbeddingSpec
from tests.diffusion.inverting import TARGET, edit_of, sample
from tests.diffusion.tiny import Watched, losses_of, text_of


def test_each_timestep_lowers_its_loss(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = TextEmbeddingSpec(timesteps=4, inner_steps=6, stop_loss=0, stop_slope=0)

    _, losses = losses_of(invert_text_embedding(spec, subject, schedule), backbone)

    assert all(row[-1] < row[0] for row in losses)


def test_sources_alone_are_fed_what_was_learned(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = TextEmbeddingSpec(timesteps=4, guidance=3.0, inner_steps=1, stop_loss=0, stop_slope=0)
    inversion = drive(invert_text_embedding(spec, subject, schedule), backbone)
    target, watched = text_of(backbone, TARGET), Watched(backbone)
    p2p = P2pSpec(value_window=1.0, cross_window=1.0)

    sample(edit_of(backbone, inversion), schedule, spec=p2p, predictor=watched)

    learned = inversion.conditioning.at(0, subject.source, Role.SOURCE)
    fed = watched.controls[0].values
    assert fed is not None
    assert not torch.equal(learned.value, subject.source)
    assert torch.equal(learned.key, learned.value)
    assert torch.equal(fed[0], target)
    assert torch.equal(fed[2], learned.value)
