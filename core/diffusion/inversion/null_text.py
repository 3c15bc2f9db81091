"""Null-text inversion: learn the unconditional embedding of every timestep.

Source: Mokady et al. 2023, arXiv 2211.09794, algorithm 1.
"""

import torch

from core.diffusion.attention.plan import Branch
from core.diffusion.conditioning import NullConditioning
from core.diffusion.inversion.fitting import FreeEmbedding, finish, learn_timesteps
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import NullTextSpec


def invert_null_text(
    spec: NullTextSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one null embedding per timestep, each started from the one before.

    With an attention loss this is Null-text+ (Li et al. 2023, arXiv 2303.15649). How it reads maps is not published:
    here they are those of the unconditional branch, the only ones that depend on the embedding at its own timestep.
    """
    learner = FreeEmbedding(subject.null, Branch.UNCONDITIONAL)
    trace, learned = yield from learn_timesteps(spec, subject, schedule, learner=learner, resume=resume)
    return finish(NullConditioning(torch.stack(learned.found)), trace, learned)
