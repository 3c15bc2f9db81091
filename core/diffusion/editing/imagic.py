"""Imagic: a text and weights of its own that give the picture, and a sample between that text and the target's.

Source: Kawar et al. 2022, arXiv 2210.09276, section 3, with the settings of its Stable Diffusion port. Where that
fits a whole UNet, this fits low-rank additions to attention (Hu et al. 2021, arXiv 2106.09685): the model stays as it
is, so that jobs share it.
"""

from collections.abc import Generator
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.low_rank import fresh_weights
from core.diffusion.editing.rows import target_branches
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Solver, Tensors, denoise, descend
from core.diffusion.schedule import Schedule, guided
from core.domain.edit_specs import ImagicSpec


def sample_imagic(
    spec: ImagicSpec, subject: EditSubject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Edited]:
    """Fits the target's embedding to the picture, then weights to it under that embedding, and samples the edit.

    Of the inversion it takes the picture's latent, the timesteps and the guidance. What a step draws is a function of
    the seed and the step's number alone, and `resume` holds the optimisers too, so a resumed run equals a straight one.
    """
    work = _Work(spec, subject, schedule, seed=seed)
    if resume is not None:
        work.load(resume)
    yield from work.fit(work.text, spec.embedding_steps)
    yield from work.fit(work.weights, spec.weight_steps)
    while work.sampled < len(schedule.timesteps):
        yield from work.sample()
    return Edited(work.latent, subject.region, spec.model_dump(include={"interpolation", "rank"}))


@final
class _Fitted:
    """Tensors under Adam, one step after another."""

    def __init__(self, start: Tensors, *, rate: float) -> None:
        self.leaves = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
        self.done = 0
        self._adam = torch.optim.Adam(self.leaves.values(), lr=rate)

    def step(self) -> None:
        self._adam.step()
        self.done += 1

    def found(self) -> Tensors:
        """The tensors as they stand, without a graph."""
        return {name: leaf.detach() for name, leaf in self.leaves.items()}

    def tensors(self, prefix: str) -> Tensors:
        """A copy of the whole state."""
        state = {f"{prefix}.done": torch.tensor(self.done)}
        for name, leaf in self.leaves.items():
            state[f"{prefix}.{name}"] = leaf.detach().clone()
            for part, value in self._adam.state.get(leaf, {}).items():
                state[f"{prefix}.adam.{part}.{name}"] = value.clone()
        return state

    def load(self, prefix: str, state: Tensors) -> None:
        self.done = int(state[f"{prefix}.done"])
        for name, leaf in self.leaves.items():
            with torch.no_grad():
                leaf.copy_(state[f"{prefix}.{name}"])
            if self.done > 0:
                moments = {part: state[f"{prefix}.adam.{part}.{name}"] for part in ("exp_avg", "exp_avg_sq")}
                self._adam.state[leaf] = {"step": state[f"{prefix}.adam.step.{name}"].cpu(), **moments}


@final
class _Work:
    """Everything found so far, and the three kinds of step that lead on."""

    def __init__(self, spec: ImagicSpec, subject: EditSubject, schedule: Schedule, *, seed: int) -> None:
        self._spec, self._subject, self._schedule, self._seed = spec, subject, schedule, seed
        self._image = subject.inversion.trace[0]
        start = torch.Generator().manual_seed(seed)
        self.latent = torch.randn(self._image.shape, generator=start).to(self._image)
        fresh = fresh_weights(subject.projections, spec.rank, generator=start)
        self.text = _Fitted({"embedding": subject.target.embedding}, rate=spec.embedding_rate)
        self.weights = _Fitted({name: weight.to(self._image) for name, weight in fresh.items()}, rate=spec.weight_rate)
        self.sampled = 0

    def load(self, state: Tensors) -> None:
        self.text.load("text", state)
        self.weights.load("weights", state)
        self.latent, self.sampled = state["latent"], int(state["sampled"])

    def fit(self, fitted: _Fitted, steps: int) -> Generator[Request, Answer, None]:
        """Up to so many steps on the picture under noise, at timesteps of the whole training schedule."""
        while fitted.done < steps:
            draw = torch.Generator().manual_seed(_mixed(self._seed, self.text.done + self.weights.done))
            timestep = int(torch.randint(len(self._schedule.alphas), (), generator=draw))
            noise = torch.randn(self._image.shape, generator=draw).to(self._image)
            yield from self._descend(fitted, noise, timestep=timestep)
            fitted.step()
            yield self._reached(self._image)

    def sample(self) -> Generator[Request, Answer, None]:
        """One timestep of the edit, both branches through the weights."""
        subject, index = self._subject, self.sampled
        timestep, count = self._schedule.timesteps[index], len(target_branches(subject))
        fitted, target = self.text.found()["embedding"], subject.target.embedding
        texts = torch.stack([torch.lerp(fitted, target, self._spec.interpolation), subject.null][:count])
        latents, weights = torch.stack([self.latent] * count), self.weights.found()
        seen = yield from denoise(Rows(latents, timestep, keys=texts, values=texts, low_rank=weights))
        unconditional = seen.output[1] if count > 1 else None
        output = guided(unconditional, seen.output[0], subject.guidance)
        self.latent = self._hold(self._schedule.step(self.latent, output, timestep), index)
        self.sampled += 1
        yield self._reached(self.latent)

    def _descend(
        self, fitted: _Fitted, noise: Float[Tensor, "c h w"], *, timestep: int
    ) -> Generator[Request, Answer, None]:
        latent = self._schedule.noised(self._image, noise, timestep)[None]
        wanted = self._schedule.answer(self._image, noise, timestep)

        def rows() -> Rows:
            if fitted is self.text:
                text = self.text.leaves["embedding"][None]
                return Rows(latent, timestep, keys=text, values=text)
            text = self.text.found()["embedding"][None]
            return Rows(latent, timestep, keys=text, values=text, low_rank=self.weights.leaves)

        def loss(seen: Denoised) -> Tensor:
            return F.mse_loss(seen.output[0], wanted)

        yield from descend(rows, loss, leaves=tuple(fitted.leaves.values()), enough=0.0)

    def _hold(self, latent: Tensor, index: int) -> Tensor:
        """The edit is sampled from pure noise even where the inversion's path starts below it."""
        index -= len(self._schedule.timesteps) - (len(self._subject.inversion.path) - 1)
        return latent if index < 0 else self._subject.hold(latent, index)

    def _reached(self, shown: Float[Tensor, "c h w"]) -> Reached:
        fitting = self._spec.embedding_steps + self._spec.weight_steps
        done = self.text.done + self.weights.done + self.sampled
        return Reached(done, fitting + len(self._schedule.timesteps), shown, self._state)

    def _state(self) -> Tensors:
        place = {"latent": self.latent, "sampled": torch.tensor(self.sampled)}
        return {**self.text.tensors("text"), **self.weights.tensors("weights"), **place}


def _mixed(seed: int, step: int) -> int:
    """A seed for one step, unlike that of any other step or seed."""
    return int(np.random.SeedSequence(seed, spawn_key=(step,)).generate_state(1, np.uint64)[0])
