"""Direct inversion: the source follows the trace."""

import numpy as np
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.direct import invert_direct
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import P2pSpec
from core.domain.inversion_specs import DirectSpec
from tests.diffusion.inverting import edit_of, sample
from tests.diffusion.tiny import Watched


def test_the_image_comes_back_as_the_autoencoder_gives_it(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    inversion = drive(invert_direct(DirectSpec(timesteps=4), subject, schedule), backbone)

    assert torch.equal(inversion.path, inversion.trace.flip(0))
    assert np.array_equal(backbone.decode(inversion.path[-1]), backbone.decode(subject.latent))


def test_source_rows_stand_on_the_trace(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    inversion = drive(invert_direct(DirectSpec(timesteps=4), subject, schedule), backbone)
    p2p = P2pSpec(cross_window=1.0, self_window=1.0)
    seen = Watched(backbone)

    sample(edit_of(backbone, inversion), schedule, spec=p2p, predictor=seen)

    sources = torch.stack([latents[2] for latents in seen.latents])
    assert torch.equal(sources, inversion.trace.flip(0)[:-1])
