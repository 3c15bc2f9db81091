"""Pix2pix-zero: the source's embedding moved along a direction, its attention held by gradients to the latent.

Source: Parmar et al. 2023, arXiv 2302.03027, sections 3.1 and 3.3.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.plan import Branch
from core.diffusion.attention.sites import Site, reads_words
from core.diffusion.conditioning import Role
from core.diffusion.editing.plans import value_stop
from core.diffusion.editing.rows import Fed, fed, target_inputs, target_outputs
from core.diffusion.editing.standing import resumed, stand
from core.diffusion.editing.subject import Edited, EditSubject, Text
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Solver, Tensors, denoise, descend
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import Pix2PixZeroSpec


def sample_directed(
    spec: Pix2PixZeroSpec, subject: EditSubject, schedule: Schedule, *, resume: Tensors | None
) -> Solver[Edited]:
    """Samples the moved embedding, with the latent drawn at every timestep to where the source's words act.

    At most 4 forward passes and a backward one a timestep: the source's maps are read in the timestep that needs them,
    one row without gradient, the gradient is that of the target's conditional row, and both branches are evaluated
    again where it led. The published code samples the source in a run of its own and stores its maps (3.3 GB a
    branch), and spends a gradient on the unconditional branch, which knows nothing of the edit but whose latent alone
    is kept.
    """
    inversion, stop = subject.inversion, value_stop(spec, len(schedule.timesteps))
    schedule = schedule.last(len(inversion.path) - 1)
    text = subject.source.embedding + direction(subject)
    moved = replace(subject, target=Text(subject.target.prompt, text))
    done, latent = resumed(inversion.path[0], resume)
    for index in range(done, len(schedule.timesteps)):
        if spec.guidance_rate > 0:
            latent = yield from _hold_words(spec, moved, schedule, index=index, latent=latent, value_stop=stop)
        outputs = yield from target_outputs(moved, schedule, index, latent=latent, value_stop=stop)
        latent = subject.hold(inversion.rule.advance(schedule, latent, outputs, index=index), index)
        yield Reached(index + 1, len(schedule.timesteps), latent, partial(stand, index + 1, latent))
    return Edited(latent, subject.region, {"value_stop": stop})


def direction(subject: EditSubject) -> Float[Tensor, "tokens width"]:
    """From the mean embedding of the source's sentences to that of the target's."""
    source, target = (
        torch.stack([embedding for name, embedding in subject.sentences.items() if name.startswith(side)]).mean(0)
        for side in ("source", "target")
    )
    return target - source


def map_loss(maps: Mapping[Site, Tensor], reference: Mapping[Site, Tensor]) -> Float[Tensor, ""]:
    """Squared differences of one row's maps, summed over layers, places and tokens and averaged over heads.

    The published mean takes in the unconditional row's heads, so that its rate of 0.1 is 0.05 here.
    """
    terms = [(maps[site] - theirs).square().sum((-2, -1)).mean() for site, theirs in reference.items()]
    return torch.stack(terms).sum()


def _hold_words(
    spec: Pix2PixZeroSpec,
    subject: EditSubject,
    schedule: Schedule,
    *,
    index: int,
    latent: Float[Tensor, "c h w"],
    value_stop: int,
) -> Generator[Request, Answer, Float[Tensor, "c h w"]]:
    """The latent after one descent on the difference of the target's maps from the source's."""
    timestep, inversion = schedule.timesteps[index], subject.inversion
    ours = fed(inversion.conditioning.at(index, subject.source.embedding, Role.SOURCE), Branch.CONDITIONAL)
    theirs = fed(target_inputs(subject, index, value_stop=value_stop), Branch.CONDITIONAL)
    reference = yield from denoise(_row(inversion.path[index], timestep, ours))
    leaf = latent.detach().clone().requires_grad_()

    def loss(seen: Denoised) -> Tensor:
        return map_loss(seen.maps, reference.maps)

    yield from descend(lambda: _row(leaf, timestep, theirs), loss, leaves=(leaf,), enough=0.0)
    return latent if leaf.grad is None else latent - spec.guidance_rate * leaf.grad


def _row(latent: Float[Tensor, "c h w"], timestep: int, given: Fed) -> Rows:
    return Rows(latent[None], timestep, keys=given.key[None], values=given.value[None], record=reads_words)
