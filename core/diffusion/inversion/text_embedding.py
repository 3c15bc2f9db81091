"""Text embedding: learn the source prompt's embedding of every timestep, keys and values alike.

Source: the released code of Li et al. 2023, arXiv 2303.15649: null-text inversion with the roles of the two branches
exchanged.
"""

import torch

from core.diffusion.attention.plan import Branch
from core.diffusion.conditioning import SourceConditioning
from core.diffusion.inversion.fitting import FreeEmbedding, finish, learn_timesteps
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import TextEmbeddingSpec


def invert_text_embedding(
    spec: TextEmbeddingSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one embedding of the source prompt per timestep, each started from the one before.

    An edit's target keeps its plain text, as published; only the source's rows, whose attention is injected, read it.
    """
    learner = FreeEmbedding(subject.source, Branch.CONDITIONAL)
    trace, learned = yield from learn_timesteps(spec, subject, schedule, learner=learner, resume=resume)
    return finish(SourceConditioning(torch.stack(learned.found), subject.null), trace, learned)
