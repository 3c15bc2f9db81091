"""StyleDiffusion: learn the value input of cross-attention, keep the text as its key input.

Source: Li et al. 2023, arXiv 2303.15649, section 3 and algorithm 1; departures are named where they stand.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.plan import Branch
from core.diffusion.conditioning import ModulatedConditioning, feed
from core.diffusion.inversion.fitting import finish, learn_timesteps
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.mapping import MappingNetwork, modulate
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import StyleDiffusionSpec


def invert_stylediffusion(
    spec: StyleDiffusionSpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one mapping network per timestep, each started from the one before (`learn_timesteps` counts the calls).

    `spec.feeds` is the ablation of section 5.2: the network's output as input of keys, or of keys and values.
    """
    learner = _Mapping(spec, subject, seed=seed)
    trace, learned = yield from learn_timesteps(spec, subject, schedule, learner=learner, resume=resume)
    conditioning = ModulatedConditioning(spec.head, spec.feeds, torch.stack(learned.found), subject.null)
    return finish(conditioning, trace, learned)


@final
class _Mapping:
    """A mapping network from the image's features, as what is learned."""

    def __init__(self, spec: StyleDiffusionSpec, subject: Subject, *, seed: int) -> None:
        self._spec = spec
        self._subject = subject
        network = MappingNetwork(image_tokens=len(subject.features), text_tokens=len(subject.source), head=spec.head)
        self._network = network.to(subject.latent)
        self._network.initialise(torch.Generator().manual_seed(seed))

    @property
    def branch(self) -> Branch:
        return Branch.CONDITIONAL

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return tuple(self._network.parameters())

    def inputs(self) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]:
        text = self._subject.source
        return feed(self._spec.feeds, text, modulate(self._spec.head, self._network(self._subject.features), text))

    def found(self) -> Tensor:
        modulation: Tensor = self._network(self._subject.features).detach()
        return modulation

    def tensors(self) -> Tensors:
        return self._network.tensors()

    def load(self, tensors: Tensors) -> None:
        self._network.load_state_dict(tensors)
