"""The way back of every learned inversion: one timestep after another, what is learned is fitted to the trace."""

from collections.abc import Generator
from typing import Protocol, final, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.plan import Branch
from core.diffusion.attention.sites import Site, carries_words
from core.diffusion.conditioning import Conditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.learning import Learned, fit_timestep
from core.diffusion.inversion.trace import Subject, Trace, inversion_rows, trace_image
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Tensors, denoise
from core.diffusion.schedule import Schedule, guided
from core.domain.inversion_specs import Optimisation


@runtime_checkable
class Learner(Protocol):
    """What is learned; each timestep goes on from where the last one ended."""

    @property
    def branch(self) -> Branch:
        """The branch that it feeds."""
        ...

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """The tensors to optimise."""
        ...

    def inputs(self) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]:
        """Key and value input of its branch, with the graph from the leaves."""
        ...

    def found(self) -> Tensor:
        """What the conditioning keeps of a timestep, detached."""
        ...

    def tensors(self) -> Tensors:
        """A detached copy of the leaves by name."""
        ...

    def load(self, tensors: Tensors) -> None:
        """Goes on from what `tensors` gave."""
        ...


@final
class FreeEmbedding:
    """An embedding that is learned as it is, for null branch, values, or keys and values of the source."""

    def __init__(self, start: Float[Tensor, "tokens width"], branch: Branch, *, key: Tensor | None = None) -> None:
        """Starts at an embedding; `key` is the key input where the embedding feeds the values alone."""
        self._embedding = start.clone().requires_grad_()
        self._branch = branch
        self._key = key

    @property
    def branch(self) -> Branch:
        return self._branch

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        return (self._embedding,)

    def inputs(self) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]:
        return self._embedding if self._key is None else self._key, self._embedding

    def found(self) -> Tensor:
        return self._embedding.detach().clone()

    def tensors(self) -> Tensors:
        return {"embedding": self.found()}

    def load(self, tensors: Tensors) -> None:
        with torch.no_grad():
            self._embedding.copy_(tensors["embedding"])


def learn_timesteps(
    spec: Optimisation, subject: Subject, schedule: Schedule, *, learner: Learner, resume: Tensors | None
) -> Generator[Request, Answer, tuple[Trace, Learned]]:
    """Traces the image and fits the learner at every timestep, each starting where the last one arrived.

    T calls of tracing, then per timestep one of the branch that is not learned (of null none at guidance 1), at most
    the budget's with gradient, and one more when the budget ran out. Free-running: each timestep's latent is where
    the one before really arrived.
    """
    total, keep_maps = 2 * spec.timesteps, spec.attention_loss > 0
    trace = yield from trace_image(subject, schedule, keep_maps=keep_maps, calls_in_all=total, resume=resume)
    learned = Learned([trace.latents[-1]])
    if resume is not None and "found" in resume:
        learned = Learned.from_tensors(resume)
        learner.load(learned.carried)
    for index in range(learned.index, spec.timesteps):
        wanted = (yield from _wanted_maps(spec, subject, schedule, trace=trace, index=index)) if keep_maps else {}
        latent = yield from _fit_timestep(
            spec, subject, schedule, learner=learner, learned=learned, target=trace.latents[-2 - index], wanted=wanted
        )
        learned.path.append(latent)
        learned.found.append(learner.found())
        learned.carried = learner.tensors()
        yield Reached(spec.timesteps + index + 1, total, latent, lambda: {**trace.tensors(), **learned.tensors()})
    return trace, learned


def finish(conditioning: Conditioning, trace: Trace, learned: Learned) -> Inversion:
    """The inversion that learning ended in."""
    return Inversion(conditioning, trace.latents, torch.stack(learned.path), trace.word_maps, tuple(learned.losses))


def _fit_timestep(
    spec: Optimisation,
    subject: Subject,
    schedule: Schedule,
    *,
    learner: Learner,
    learned: Learned,
    target: Tensor,
    wanted: dict[Site, Tensor],
) -> Generator[Request, Answer, Tensor]:
    """Fits the learner at one timestep and returns the next latent of the free-running path.

    The other branch does not depend on it and is computed once; where the last loss was already enough its own output
    is the step. The published codes compute both branches again.
    """
    index, latent = learned.index, learned.path[-1]
    timestep = schedule.timesteps[index]
    other = yield from _other_output(spec, subject, latent, timestep=timestep, learned=learner.branch)

    def rows() -> Rows:
        keys, values = (given[None] for given in learner.inputs())
        return Rows(latent[None], timestep, keys=keys, values=values, record=carries_words if wanted else None)

    def advance(output: Tensor) -> Tensor:
        if other is None or learner.branch is Branch.CONDITIONAL:
            return schedule.step(latent, guided(other, output, spec.guidance), timestep)
        return schedule.step(latent, guided(output, other, spec.guidance), timestep)

    def loss(seen: Denoised) -> Tensor:
        attention = sum(F.mse_loss(seen.maps[site], maps) for site, maps in wanted.items())
        return F.mse_loss(advance(seen.output[0]), target) + spec.attention_loss * attention

    last, output = yield from fit_timestep(learner.leaves, rows, loss, spec=spec, index=index)
    learned.losses.append(last)
    return advance(output)


def _other_output(
    spec: Optimisation, subject: Subject, latent: Tensor, *, timestep: int, learned: Branch
) -> Generator[Request, Answer, Tensor | None]:
    """The output of the branch that is not learned; None where guidance gives it no weight."""
    if learned is Branch.CONDITIONAL and spec.guidance == 1.0:
        return None
    text = (subject.null if learned is Branch.CONDITIONAL else subject.source)[None]
    return (yield from denoise(Rows(latent[None], timestep, keys=text, values=text))).output[0]


def _wanted_maps(
    spec: Optimisation, subject: Subject, schedule: Schedule, *, trace: Trace, index: int
) -> Generator[Request, Answer, dict[Site, Tensor]]:
    """The attention maps the attention loss (Li et al. 2023, eq. 5) compares with at timestep `index`.

    Maps of the call that left latent T - index. The noisiest latent was never left: the published code takes the call
    before it, footnote 2 of the paper spends one more. A resumed inversion has no maps in memory and asks again for
    the one it needs.
    """
    call = spec.timesteps - index
    if call == spec.timesteps and not spec.last_map_call:
        call -= 1
    if call < len(trace.maps):
        return trace.maps[call]
    timestep = schedule.timesteps[max(spec.timesteps - 1 - call, 0)]
    return dict((yield from denoise(inversion_rows(subject, trace.latents[call], timestep))).maps)
