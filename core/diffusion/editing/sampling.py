"""The one sampling loop behind the editors: the target from the inversion's start, under a plan."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.diffusion.attention.blend import WordRegions, blend
from core.diffusion.attention.control import Carry, join_carries
from core.diffusion.attention.plan import Branch, CarryWords, KeepLayout, Plan
from core.diffusion.attention.sites import carries_words
from core.diffusion.conditioning import Inputs, Role
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.sampling_rules import Outputs
from core.diffusion.inversion.trace import mean_maps
from core.diffusion.requests import Denoised, Reached, Rows, Solver, denoise
from core.diffusion.schedule import Schedule


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What is sampled: two texts, a plan, and until which timestep the target uses learned value inputs."""

    source: Float[Tensor, "tokens width"]
    target: Float[Tensor, "tokens width"]
    plan: Plan
    guidance: float
    value_stop: int


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """The target's final latent, and the region it was kept to where the plan blends."""

    latent: Float[Tensor, "c h w"]
    region: Bool[Tensor, "h w"] | None


def sample_edit(edit: Edit, inversion: Inversion, schedule: Schedule) -> Solver[Edited]:
    """Samples the target prompt; the source follows the inversion's own path and is evaluated only where read."""
    schedule = schedule.last(len(inversion.path) - 1)
    latent, region = inversion.path[0], None
    regions = None if edit.plan.blend is None else WordRegions(edit.plan.blend)
    for index, timestep in enumerate(schedule.timesteps):
        group = _Group(edit, inversion, index)
        seen = yield from denoise(group.rows(latent, timestep))
        latent = inversion.rule.advance(schedule, latent, group.outputs(seen), index=index)
        if regions is not None and edit.plan.blend is not None:
            words = mean_maps(seen)
            regions.add(words[[group.source(Branch.CONDITIONAL), group.target(Branch.CONDITIONAL)]])
            if index >= edit.plan.blend.first:
                region = regions.mask(latent.shape[-1])
                latent = blend(inversion.path[index + 1], latent, region)
        yield Reached(index + 1, len(schedule.timesteps), latent)
    return Edited(latent, region)


@final
class _Group:
    """The rows of one timestep: the target's branches, then the source's where a rule reads them."""

    def __init__(self, edit: Edit, inversion: Inversion, index: int) -> None:
        self._edit = edit
        self._index = index
        self._theirs = _target_inputs(edit, inversion, index)
        self._ours = inversion.conditioning.at(index, edit.source, Role.SOURCE)
        self._source_latent = inversion.path[index]
        # At guidance 1 the unconditional branch has no weight.
        self._targets = list(Branch) if edit.guidance != 1.0 else [Branch.CONDITIONAL]
        self._sources = [branch for branch in edit.plan.sources(index) if branch in self._targets]

    def target(self, branch: Branch) -> int:
        return self._targets.index(branch)

    def source(self, branch: Branch) -> int:
        return len(self._targets) + self._sources.index(branch)

    def rows(self, latent: Tensor, timestep: int) -> Rows:
        inputs = [(self._theirs, branch) for branch in self._targets]
        inputs += [(self._ours, branch) for branch in self._sources]
        latents = [latent] * len(self._targets) + [self._source_latent] * len(self._sources)
        return Rows(
            torch.stack(latents),
            timestep,
            keys=torch.stack([_key(given, branch) for given, branch in inputs]),
            values=torch.stack([_value(given, branch) for given, branch in inputs]),
            layout_rows=self._layout_rows(len(inputs)),
            carry=join_carries([(0, carry) for carry in self._carries()]),
            record=carries_words if self._edit.plan.blend is not None else None,
        )

    def outputs(self, seen: Denoised) -> Outputs:
        """What the target's step is made of."""
        guided = Branch.UNCONDITIONAL in self._targets
        return Outputs(
            seen.output[self.target(Branch.CONDITIONAL)],
            seen.output[self.target(Branch.UNCONDITIONAL)] if guided else None,
            self._edit.guidance,
            self._theirs.noise,
        )

    def _layout_rows(self, count: int) -> Tensor | None:
        rows = list(range(count))
        for rule in self._edit.plan.active(self._index):
            if isinstance(rule.what, KeepLayout) and rule.where in self._targets:
                rows[self.target(rule.where)] = self.source(rule.where)
        return None if rows == list(range(count)) else torch.tensor(rows)

    def _carries(self) -> list[Carry]:
        return [
            rule.what.carry(self._index, row=self.target(rule.where), source=self.source(rule.where))
            for rule in self._edit.plan.active(self._index)
            if isinstance(rule.what, CarryWords)
        ]


def _target_inputs(edit: Edit, inversion: Inversion, index: int) -> Inputs:
    """What feeds the target: its own text alone once the window of learned inputs is over."""
    given = inversion.conditioning.at(index, edit.target, Role.TARGET)
    return given if index < edit.value_stop else given._replace(key=edit.target, value=edit.target)


def _key(given: Inputs, branch: Branch) -> Tensor:
    return given.key if branch is Branch.CONDITIONAL else given.null


def _value(given: Inputs, branch: Branch) -> Tensor:
    return given.value if branch is Branch.CONDITIONAL else given.null
