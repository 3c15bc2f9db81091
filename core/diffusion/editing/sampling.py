"""The one sampling loop behind the editors: the target from the inversion's start, under a plan."""

from functools import partial
from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor

from core.diffusion.attention.blend import WordRegions, blend
from core.diffusion.attention.control import Carry, join_carries
from core.diffusion.attention.division import Objects
from core.diffusion.attention.plan import Branch, CarryWords, KeepLayout, Plan, Rule, ShareContent
from core.diffusion.attention.reroute import Reroute, Split
from core.diffusion.attention.sites import carries_content, carries_layout, carries_words
from core.diffusion.conditioning import Role
from core.diffusion.editing.rows import fed, target_branches, target_inputs
from core.diffusion.editing.standing import resumed, stand
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.sampling_rules import Outputs
from core.diffusion.inversion.trace import mean_maps
from core.diffusion.requests import Denoised, Reached, Rows, Solver, Tensors, denoise
from core.diffusion.schedule import Schedule


def sample_plan(
    plan: Plan, subject: EditSubject, schedule: Schedule, *, value_stop: int, resume: Tensors | None = None
) -> Solver[Edited]:
    """Samples the target prompt; the source follows the inversion's own path and is evaluated only where read.

    Args:
        plan: the rules.
        subject: the inversion and the two sentences.
        schedule: the T timesteps of the inversion.
        value_stop: the first timestep at which the target's value input is its own text.
        resume: the state of an earlier `Reached`.
    """
    inversion, memory = subject.inversion, _Memory(plan, inversion=subject.inversion, resume=resume)
    schedule = schedule.last(len(inversion.path) - 1)
    done, latent = resumed(inversion.path[0], resume)
    for index, timestep in list(enumerate(schedule.timesteps))[done:]:
        group = _Group(plan, subject, index, value_stop=value_stop)
        seen = yield from denoise(group.rows(latent, timestep, objects=memory.objects))
        latent = inversion.rule.advance(schedule, latent, group.outputs(seen), index=index)
        memory.add(seen, group)
        region = memory.region(index, side=latent.shape[-1])
        if region is not None:
            latent = blend(inversion.path[index + 1], latent, region)
        latent = subject.hold(latent, index)
        kept = memory.tensors()
        yield Reached(index + 1, len(schedule.timesteps), latent, partial(stand, index + 1, latent, kept))
    region = memory.region(len(schedule.timesteps) - 1, side=latent.shape[-1])
    return Edited(latent, subject.region if region is None else region, {"value_stop": value_stop, **plan.describe()})


@final
class _Memory:
    """What the word maps of the timesteps so far tell: where the edit may act, and where its object is."""

    def __init__(self, plan: Plan, *, inversion: Inversion, resume: Tensors | None) -> None:
        self.objects = None if plan.division is None else Objects.of(plan.division, inversion.word_maps)
        self._regions = None if plan.blend is None else WordRegions(plan.blend)
        if resume is not None:
            for part in self._parts():
                part.load(resume)

    def add(self, seen: Denoised, group: "_Group") -> None:
        """Adds the maps of one timestep, where they are read."""
        if self.objects is not None:
            self.objects.add(mean_maps(seen)[group.target(Branch.CONDITIONAL)])
        if self._regions is not None:
            self._regions.add(mean_maps(seen)[[group.source(Branch.CONDITIONAL), group.target(Branch.CONDITIONAL)]])

    def region(self, index: int, *, side: int) -> Bool[Tensor, "side side"] | None:
        """Where the edited words act after timestep `index`; None where the plan does not ask, or not yet."""
        if self._regions is None or index < self._regions.rule.first:
            return None
        return self._regions.mask(side)

    def tensors(self) -> Tensors:
        """All of it, for a checkpoint."""
        return {name: tensor for part in self._parts() for name, tensor in part.tensors().items()}

    def _parts(self) -> list[Objects | WordRegions]:
        return [part for part in (self.objects, self._regions) if part is not None]


@final
class _Group:
    """The rows of one timestep: the target's branches, then the source's where a rule reads them."""

    def __init__(self, plan: Plan, subject: EditSubject, index: int, *, value_stop: int) -> None:
        self._plan = plan
        self._index = index
        self._guidance = subject.guidance
        self._theirs = target_inputs(subject, index, value_stop=value_stop)
        self._ours = subject.inversion.conditioning.at(index, subject.source.embedding, Role.SOURCE)
        self._source_latent = subject.inversion.path[index]
        self._inversion, self._source_text = subject.inversion, subject.source.prompt.text
        self._targets = target_branches(subject)
        self._sources = [branch for branch in plan.sources(index) if branch in self._targets]

    def target(self, branch: Branch) -> int:
        return self._targets.index(branch)

    def source(self, branch: Branch) -> int:
        return len(self._targets) + self._sources.index(branch)

    def rows(self, latent: Tensor, timestep: int, *, objects: Objects | None) -> Rows:
        inputs = [fed(self._theirs, branch) for branch in self._targets]
        inputs += [fed(self._ours, branch) for branch in self._sources]
        latents = [latent] * len(self._targets) + [self._source_latent] * len(self._sources)
        return Rows(
            torch.stack(latents),
            timestep,
            keys=torch.stack([one.key for one in inputs]),
            values=torch.stack([one.value for one in inputs]),
            reroutes=self._reroutes(len(inputs)),
            split=self._split(objects),
            carry=join_carries([(torch.arange(len(inputs)), carry) for carry in self._carries()]),
            record=carries_words if self._plan.reads_words else None,
            shared=tuple((self._inversion, self._source_text, self._index, branch) for branch in self._sources),
        )

    def outputs(self, seen: Denoised) -> Outputs:
        """What the target's step is made of."""
        guided = Branch.UNCONDITIONAL in self._targets
        return Outputs(
            seen.output[self.target(Branch.CONDITIONAL)],
            seen.output[self.target(Branch.UNCONDITIONAL)] if guided else None,
            self._guidance,
            self._theirs.noise,
        )

    def _rules(self) -> list[Rule]:
        """What is in force on the branches that are sampled."""
        return [rule for rule in self._plan.active(self._index) if rule.where in self._targets]

    def _reroutes(self, count: int) -> tuple[Reroute, ...]:
        own = torch.arange(count)
        layout, content = own.clone(), own.clone()
        for rule in self._rules():
            if isinstance(rule.what, KeepLayout):
                layout[self.target(rule.where)] = self.source(rule.where)
            elif isinstance(rule.what, ShareContent):
                content[self.target(rule.where)] = self.source(rule.where)
        parts = Reroute.of_layout(carries_layout, layout), Reroute.of_content(carries_content, content)
        return tuple(part for part in parts if not torch.equal(part.key, own))

    def _split(self, objects: Objects | None) -> Split | None:
        rows = [self.target(rule.where) for rule in self._rules() if isinstance(rule.what, ShareContent)]
        return objects.split(torch.tensor(rows)) if objects is not None and rows else None

    def _carries(self) -> list[Carry]:
        return [
            rule.what.carry(self._index, row=self.target(rule.where), source=self.source(rule.where))
            for rule in self._rules()
            if isinstance(rule.what, CarryWords)
        ]
