"""DDIM inversion as a method of its own: nothing is learned.

Source: Song et al. 2021, arXiv 2010.02502.
"""

import torch

from core.diffusion.conditioning import PlainConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.requests import Reached, Rows, Solver, denoise
from core.diffusion.schedule import Schedule, guided
from core.domain.inversion_specs import DdimSpec


def invert_ddim(spec: DdimSpec, subject: Subject, schedule: Schedule) -> Solver[Inversion]:
    """Traces the image and samples it again at the caller's guidance: T + 2T passes, 2T at guidance 1."""
    total = 2 * spec.timesteps
    trace = yield from trace_image(subject, schedule, keep_maps=False, calls_in_all=total)
    path = [trace.latents[-1]]
    text = torch.stack([subject.source] if spec.guidance == 1.0 else [subject.null, subject.source])
    for index, timestep in enumerate(schedule.timesteps):
        seen = yield from denoise(Rows(path[-1].expand(len(text), -1, -1, -1), timestep, keys=text, values=text))
        unconditional = None if len(text) == 1 else seen.output[0]
        path.append(schedule.step(path[-1], guided(unconditional, seen.output[-1], spec.guidance), timestep))
        yield Reached(spec.timesteps + index + 1, total, path[-1])
    return Inversion(PlainConditioning(subject.null), trace.latents, torch.stack(path), trace.word_maps)
