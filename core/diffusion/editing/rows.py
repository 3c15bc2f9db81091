"""The rows of an edit's target, and what its step is made of."""

from collections.abc import Generator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.plan import Branch
from core.diffusion.conditioning import Inputs, Role
from core.diffusion.editing.subject import EditSubject
from core.diffusion.inversion.sampling_rules import Outputs
from core.diffusion.requests import Answer, Request, Rows, denoise
from core.diffusion.schedule import Schedule


class Fed(NamedTuple):
    """What feeds the key and the value layers of one row, [tokens, width] each."""

    key: Float[Tensor, "tokens width"]
    value: Float[Tensor, "tokens width"]


def fed(given: Inputs, branch: Branch) -> Fed:
    """A branch's share of a timestep's inputs."""
    return Fed(given.key, given.value) if branch is Branch.CONDITIONAL else Fed(given.null, given.null)


def target_inputs(subject: EditSubject, index: int, *, value_stop: int) -> Inputs:
    """What feeds the target: its own text alone once the window of learned inputs is over."""
    text = subject.target.embedding
    given = subject.inversion.conditioning.at(index, text, Role.TARGET)
    return given if index < value_stop else given._replace(key=text, value=text)


def target_branches(subject: EditSubject) -> list[Branch]:
    """At guidance 1 the unconditional branch has no weight."""
    return list(Branch) if subject.guidance != 1.0 else [Branch.CONDITIONAL]


def target_outputs(
    subject: EditSubject, schedule: Schedule, index: int, *, latent: Float[Tensor, "c h w"], value_stop: int
) -> Generator[Request, Answer, Outputs]:
    """One call for the target's branches without any control, for `yield from`."""
    given, branches = target_inputs(subject, index, value_stop=value_stop), target_branches(subject)
    inputs = [fed(given, branch) for branch in branches]
    seen = yield from denoise(
        Rows(
            torch.stack([latent] * len(branches)),
            schedule.timesteps[index],
            keys=torch.stack([one.key for one in inputs]),
            values=torch.stack([one.value for one in inputs]),
        )
    )
    unconditional = seen.output[1] if len(branches) > 1 else None
    return Outputs(seen.output[0], unconditional, subject.guidance, given.noise)
