"""Every inversion method by its specification."""

from core.diffusion.inversion.ddim import invert_ddim
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.null_text import invert_null_text
from core.diffusion.inversion.stylediffusion import invert_stylediffusion
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import InversionSpec, NullTextSpec, StyleDiffusionSpec


def invert(
    spec: InversionSpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """The solver of a specification; `resume` is the state of an earlier `Reached`, on whatever device."""
    if resume is not None:
        resume = {name: tensor.to(subject.latent.device) for name, tensor in resume.items()}
    match spec:
        case StyleDiffusionSpec():
            return invert_stylediffusion(spec, subject, schedule, seed=seed, resume=resume)
        case NullTextSpec():
            return invert_null_text(spec, subject, schedule, resume=resume)
        case _:
            return invert_ddim(spec, subject, schedule)
