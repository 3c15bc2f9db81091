"""Value embedding: learn the value input itself, without a network and without the image's features.

Source: Li et al. 2023, arXiv 2303.15649, section 5.2.
"""

import torch

from core.diffusion.attention.plan import Branch
from core.diffusion.conditioning import ModulatedConditioning
from core.diffusion.inversion.fitting import FreeEmbedding, finish, learn_timesteps
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_parts import Feeds, Head
from core.domain.inversion_specs import ValueEmbeddingSpec


def invert_value_embedding(
    spec: ValueEmbeddingSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one value embedding per timestep with StyleDiffusion's losses, each started from the one before.

    The first starts at the source prompt's embedding. An edit's target takes the same embedding for its own words in
    the value window, as with the head `replace`: it is no function of a text.
    """
    learner = FreeEmbedding(subject.source, Branch.CONDITIONAL, key=subject.source)
    trace, learned = yield from learn_timesteps(spec, subject, schedule, learner=learner, resume=resume)
    conditioning = ModulatedConditioning(Head.REPLACE, Feeds.VALUE, torch.stack(learned.found), subject.null)
    return finish(conditioning, trace, learned)
