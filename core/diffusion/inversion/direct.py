"""Direct inversion: the source follows the trace.

Source: Ju et al. 2023, arXiv 2310.01506.
"""

from core.diffusion.conditioning import PlainConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import DirectSpec


def invert_direct(
    spec: DirectSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Traces the image, T passes; the path is the trace backwards, so that it ends in the image's own latent.

    The published code adds to each source latent what sampling missed the trace by, which is the trace; it spends 4T
    passes to know it.
    """
    trace = yield from trace_image(subject, schedule, keep_maps=False, calls_in_all=spec.timesteps, resume=resume)
    return Inversion(PlainConditioning(subject.null), trace.latents, trace.latents.flip(0), trace.word_maps)
