"""Negative-prompt inversion, plain and proximal: the source prompt takes the empty prompt's place.

Sources: Miyake et al. 2023, arXiv 2305.16807; Han et al. 2023, arXiv 2306.05414.
"""

from core.diffusion.conditioning import PlainConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.reconstruction import reconstruct
from core.diffusion.inversion.sampling_rules import load_rule
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import NegativePromptSpec, ProximalSpec


def invert_negative_prompt(
    spec: NegativePromptSpec | ProximalSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Traces the image and samples it again: 2T passes, since both branches of the source are one.

    The proximal rule finds no guidance in the source, so where it corrects it pulls all of the path to the trace; the
    threshold itself acts on targets.
    """
    trace = yield from trace_image(subject, schedule, keep_maps=False, calls_in_all=2 * spec.timesteps, resume=resume)
    conditioning, rule = PlainConditioning(subject.source), load_rule(spec, trace.latents)
    path = yield from reconstruct(
        subject, schedule, trace, conditioning=conditioning, rule=rule, guidance=spec.guidance, resume=resume
    )
    return Inversion(conditioning, trace.latents, path, trace.word_maps, rule=rule)
