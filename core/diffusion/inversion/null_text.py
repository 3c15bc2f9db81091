"""Null-text inversion: learn the unconditional embedding of every timestep.

Source: Mokady et al. 2023, arXiv 2211.09794, algorithm 1.
"""

from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor

from core.diffusion.conditioning import NullConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.learning import Learned, fit_timestep
from core.diffusion.inversion.trace import Subject, Trace, trace_image
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Solver, Tensors, denoise
from core.diffusion.schedule import Schedule, guided
from core.domain.inversion_specs import NullTextSpec


def invert_null_text(
    spec: NullTextSpec, subject: Subject, schedule: Schedule, *, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one null embedding per timestep, each started from the one before.

    T calls of tracing, then per timestep one of the conditional branch, at most `inner_budget` with gradient, and one
    more when the budget ran out.
    """
    total = 2 * spec.timesteps
    if resume is None:
        trace = yield from trace_image(subject, schedule, keep_maps=False, calls_in_all=total)
        learned = Learned([trace.latents[-1]])
    else:
        trace = Trace(resume["trace"], resume["word_maps"])
        learned = Learned.from_tensors(resume)
    for index in range(learned.index, spec.timesteps):
        null = (learned.found[-1] if learned.found else subject.null).clone().requires_grad_()
        latent = yield from _fit_null(
            spec, subject, schedule, null=null, learned=learned, target=trace.latents[-2 - index]
        )
        learned.path.append(latent)
        learned.found.append(null.detach())
        yield Reached(
            spec.timesteps + index + 1, total, latent, lambda: learned.tensors(trace.latents, trace.word_maps)
        )
    conditioning = NullConditioning(torch.stack(learned.found))
    return Inversion(conditioning, trace.latents, torch.stack(learned.path), trace.word_maps, tuple(learned.losses))


def _fit_null(
    spec: NullTextSpec, subject: Subject, schedule: Schedule, *, null: Tensor, learned: Learned, target: Tensor
) -> Generator[Request, Answer, Tensor]:
    """Fits the embedding at one timestep and returns the next latent of the free-running path.

    The conditional branch does not depend on the embedding and is computed once; the published code repeats it for
    the step.
    """
    index, latent = learned.index, learned.path[-1]
    timestep = schedule.timesteps[index]
    text = subject.source[None]
    conditional = (yield from denoise(Rows(latent[None], timestep, keys=text, values=text))).output[0]

    def rows() -> Rows:
        return Rows(latent[None], timestep, keys=null[None], values=null[None])

    def advance(output: Tensor) -> Tensor:
        return schedule.step(latent, guided(output, conditional, spec.guidance), timestep)

    def loss(seen: Denoised) -> Tensor:
        return F.mse_loss(advance(seen.output[0]), target)

    last, output = yield from fit_timestep((null,), rows, loss, spec=spec, index=index)
    learned.losses.append(last)
    return advance(output)
