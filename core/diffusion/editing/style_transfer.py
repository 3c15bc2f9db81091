"""Style transfer: the values learned from one picture, in the layout of another.

Source: Li et al. 2023, arXiv 2303.15649, section 5.2 and figure 20, of which no code is published: layers and timesteps
are plug-and-play's here.
"""

from collections.abc import Generator

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.editing.plug_and_play import Lender, sample_lent
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.requests import Answer, Reached, Request, Rows, Solver, Tensors, denoise
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import StyleTransferSpec


def transfer_style(
    spec: StyleTransferSpec, subject: EditSubject, schedule: Schedule, *, resume: Tensors | None
) -> Solver[Edited]:
    """Traces the content, then samples the target prompt from the content's noise with the style's learned values.

    The features that are lent belong to the content's noise: started anywhere else, the target would need the first
    timesteps to get there. They are read on the trace itself, which is what sampling the content would follow.

    Args:
        spec: its windows.
        subject: the inversion of the style picture, the content picture, and the content's sentence.
        schedule: the T timesteps of the inversion.
        resume: the state of an earlier `Reached`.
    """
    assert subject.content is not None  # noqa: S101 - every specification names one
    timesteps, text = len(schedule.timesteps), subject.sentences["content_prompt"]
    trace = yield from _trace(subject.content, text, schedule, resume=resume)
    lender = Lender.of(spec, trace.flip(0), text.expand(timesteps, -1, -1), timesteps=timesteps)
    traced = {"trace": trace}
    return (yield from sample_lent(spec, subject, schedule, lender=lender, resume=resume, traced=traced))


def _trace(
    content: Float[Tensor, "c h w"],
    text: Float[Tensor, "tokens width"],
    schedule: Schedule,
    *,
    resume: Tensors | None,
) -> Generator[Request, Answer, Float[Tensor, "steps c h w"]]:
    """DDIM inversion of the content at guidance 1."""
    latents, text = [content] if resume is None else list(resume["trace"]), text[None]
    for call, timestep in list(enumerate(reversed(schedule.timesteps)))[len(latents) - 1 :]:
        seen = yield from denoise(Rows(latents[-1][None], timestep, keys=text, values=text))
        latents.append(schedule.invert(latents[-1], seen.output[0], timestep))
        yield Reached(call + 1, 2 * len(schedule.timesteps), latents[-1], lambda: {"trace": torch.stack(latents)})
    return torch.stack(latents)
