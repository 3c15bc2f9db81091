"""The way back of inversions that learn nothing: the source prompt sampled under its conditioning."""

from collections.abc import Generator

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.sites import SitePredicate
from core.diffusion.conditioning import Conditioning, Inputs, Role
from core.diffusion.inversion.sampling_rules import Outputs, SamplingRule
from core.diffusion.inversion.trace import Subject, Trace
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Tensors, denoise
from core.diffusion.schedule import Schedule


def reconstruct(
    subject: Subject,
    schedule: Schedule,
    trace: Trace,
    *,
    conditioning: Conditioning,
    rule: SamplingRule,
    guidance: float,
    resume: Tensors | None,
) -> Generator[Request, Answer, Float[Tensor, "steps c h w"]]:
    """The path from the trace's noise to the image: T calls of one or two rows, see `denoise_source`."""
    path, total = [trace.latents[-1]], len(schedule.timesteps)
    if resume is not None and "path" in resume:
        path = list(resume["path"])
    for index, timestep in list(enumerate(schedule.timesteps))[len(path) - 1 :]:
        inputs = conditioning.at(index, subject.source, Role.SOURCE)
        outputs, _ = yield from denoise_source(inputs, path[-1], timestep, guidance=guidance)
        path.append(rule.advance(schedule, path[-1], outputs, index=index))
        yield Reached(total + index + 1, 2 * total, path[-1], lambda: {**trace.tensors(), "path": torch.stack(path)})
    return torch.stack(path)


def denoise_source(
    inputs: Inputs,
    latent: Float[Tensor, "c h w"],
    timestep: int,
    *,
    guidance: float,
    record: SitePredicate | None = None,
) -> Generator[Request, Answer, tuple[Outputs, Denoised]]:
    """Both branches of the source, the conditional one first.

    One row where guidance leaves the other out, or where the two are fed alike and so are one.
    """
    alike = torch.equal(inputs.null, inputs.key) and torch.equal(inputs.null, inputs.value)
    alone = alike or guidance == 1.0
    rows = Rows(
        torch.stack([latent] if alone else [latent, latent]),
        timestep,
        keys=torch.stack([inputs.key] if alone else [inputs.key, inputs.null]),
        values=torch.stack([inputs.value] if alone else [inputs.value, inputs.null]),
        record=record,
    )
    seen = yield from denoise(rows)
    unconditional = None if guidance == 1.0 else seen.output[-1]
    return Outputs(seen.output[0], unconditional, guidance, inputs.noise), seen
