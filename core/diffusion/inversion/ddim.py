"""DDIM inversion as a method of its own: nothing is learned.

Source: Song et al. 2021, arXiv 2010.02502.
"""

from core.diffusion.conditioning import PlainConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.reconstruction import reconstruct
from core.diffusion.inversion.sampling_rules import PlainRule
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import DdimSpec


def invert_ddim(
    spec: DdimSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Traces the image and samples it again at the caller's guidance: T + 2T passes, 2T at guidance 1."""
    trace = yield from trace_image(subject, schedule, keep_maps=False, calls_in_all=2 * spec.timesteps, resume=resume)
    conditioning = PlainConditioning(subject.null)
    path = yield from reconstruct(
        subject, schedule, trace, conditioning=conditioning, rule=PlainRule(), guidance=spec.guidance, resume=resume
    )
    return Inversion(conditioning, trace.latents, path, trace.word_maps)
