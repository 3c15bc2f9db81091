"""Plug-and-play: the target takes its layout from inside the UNet, where another picture is denoised beside it.

Source: Tumanyan et al. 2022, arXiv 2211.12572.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.blend import blend
from core.diffusion.attention.plan import Branch
from core.diffusion.attention.reroute import Reroute
from core.diffusion.attention.sites import carries_structure
from core.diffusion.conditioning import Inputs, Role
from core.diffusion.editing.plans import value_stop
from core.diffusion.editing.rows import Fed, fed, target_branches, target_inputs
from core.diffusion.editing.standing import resumed, stand
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.sampling_rules import Outputs
from core.diffusion.requests import Answer, Reached, Request, Rows, Solver, Tensors, denoise
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import Lending, PlugAndPlaySpec


@final
@dataclass(frozen=True, slots=True, eq=False)
class Lender:
    """The picture that lends its layout: its way from noise to image, and what feeds it on the way.

    It lends the decoder's features before timestep `feature_stop`, queries and keys of self-attention before
    `layout_stop`.
    """

    latents: Float[Tensor, "steps c h w"]
    texts: Float[Tensor, "timesteps tokens width"]
    feature_stop: int
    layout_stop: int

    @classmethod
    def of(
        cls,
        spec: Lending,
        latents: Float[Tensor, "steps c h w"],
        texts: Float[Tensor, "timesteps tokens width"],
        *,
        timesteps: int,
    ) -> "Lender":
        """The published counts, int(share * T), of the schedule's T noise levels; a short way has passed the first."""
        passed = timesteps - len(texts)
        stops = (max(0, int(share * timesteps) - passed) for share in (spec.feature_window, spec.self_window))
        return cls(latents, texts, *stops)


def sample_plug_and_play(
    spec: PlugAndPlaySpec, subject: EditSubject, schedule: Schedule, *, resume: Tensors | None
) -> Solver[Edited]:
    """Samples the target prompt with the layout of the inversion's path.

    The path's row is fed as its own unconditional branch was: with the empty prompt, as published, or with what the
    inversion has in its place.
    """
    conditioning, path = subject.inversion.conditioning, subject.inversion.path
    nulls = [conditioning.at(index, subject.source.embedding, Role.SOURCE).null for index in range(len(path) - 1)]
    lender = Lender.of(spec, path, torch.stack(nulls), timesteps=len(schedule.timesteps))
    return (yield from sample_lent(spec, subject, schedule, lender=lender, resume=resume))


def sample_lent(
    spec: Lending,
    subject: EditSubject,
    schedule: Schedule,
    *,
    lender: Lender,
    resume: Tensors | None,
    traced: Tensors | None = None,
) -> Solver[Edited]:
    """Samples the target prompt from where the lender starts, which also stands wherever the edit may not act.

    Args:
        spec: its windows and its negative prompt.
        subject: the inversion whose learned inputs and sampling rule the target has, and the sentences.
        schedule: the T timesteps of the inversion.
        lender: whose layout the target takes.
        resume: the state of an earlier timestep of this.
        traced: the state in which tracing the lender has ended, one call a timestep, where it was traced for this edit.
    """
    stop, rule = value_stop(spec, len(schedule.timesteps)), subject.inversion.rule
    schedule = schedule.last(len(lender.texts))
    before, total = 0 if traced is None else len(lender.texts), len(schedule.timesteps)
    done, latent = resumed(lender.latents[0], resume)
    for index in range(done, total):
        given = target_inputs(subject, index, value_stop=stop)
        if spec.negative_prompt:
            given = given._replace(null=subject.sentences["negative_prompt"])
        outputs = yield from _outputs(given, subject, schedule, index=index, latent=latent, lender=lender)
        latent = rule.advance(schedule, latent, outputs, index=index)
        if subject.region is not None:
            latent = blend(lender.latents[index + 1], latent, subject.region)
        yield Reached(before + index + 1, before + total, latent, partial(stand, index + 1, latent, traced))
    plan = {"feature_stop": lender.feature_stop, "self_stop": lender.layout_stop, "value_stop": stop}
    return Edited(latent, subject.region, plan)


def _outputs(
    given: Inputs,
    subject: EditSubject,
    schedule: Schedule,
    *,
    index: int,
    latent: Float[Tensor, "c h w"],
    lender: Lender,
) -> Generator[Request, Answer, Outputs]:
    """One call for the target's branches, and for the lender's row inside its windows."""
    branches = target_branches(subject)
    targets = len(branches)
    inputs, latents = [fed(given, branch) for branch in branches], [latent] * targets
    lends_features, lends_layout = index < lender.feature_stop, index < lender.layout_stop
    if lends_features or lends_layout:
        text = lender.texts[index]
        inputs, latents = [*inputs, Fed(text, text)], [*latents, lender.latents[index]]
    from_lender = torch.full((targets + 1,), targets)
    seen = yield from denoise(
        Rows(
            torch.stack(latents),
            schedule.timesteps[index],
            keys=torch.stack([one.key for one in inputs]),
            values=torch.stack([one.value for one in inputs]),
            reroutes=(Reroute.of_layout(carries_structure, from_lender),) if lends_layout else (),
            features=from_lender if lends_features else None,
        )
    )
    unconditional = seen.output[1] if Branch.UNCONDITIONAL in branches else None
    return Outputs(seen.output[0], unconditional, subject.guidance, given.noise)
