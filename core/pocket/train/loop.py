"""One loop for every stage: budget, learning rate, averaging, checkpoints that resume bit for bit."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from core.pocket.train.optimiser import make_optimisers
from core.pocket.train.progress import Reporter

_WARM_UP: Final = 100  # steps
_COOL_DOWN: Final = 0.35  # last share of the budget in which the learning rate falls to nothing
_GRADIENT_NORM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a stage trains: until either is spent. Minutes count training alone, over all resumptions."""

    minutes: float | None = None
    steps: int | None = None

    def spent(self, *, seconds: float, steps: int) -> float:
        """The share of the budget used up, 0…1."""
        shares = [0.0]
        if self.minutes is not None:
            shares.append(seconds / (60 * self.minutes))
        if self.steps is not None:
            shares.append(steps / self.steps)
        return min(1.0, max(shares))


@dataclass(frozen=True, slots=True)
class Chance:
    """All randomness of one step, a function of seed and step alone: so a resumed run is the run it resumes."""

    step: int
    numpy: np.random.Generator
    torch: torch.Generator

    @classmethod
    def of(cls, seed: int, step: int) -> "Chance":
        """The randomness of this step."""
        return cls(step, np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 1_000_003 + step))

    def normal(self, like: Tensor) -> Tensor:
        """Unit noise in the shape and on the device of a tensor."""
        return torch.randn(like.shape, generator=self.torch).to(like)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers between 0 and 1."""
        return torch.rand(shape, generator=self.torch)


class Task(Protocol):
    """What a stage is to the loop."""

    name: str
    learning_rate: float
    averaging: float

    @property
    def model(self) -> nn.Module:
        """All that is trained."""
        ...

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The parts of it that are called, and worth compiling."""
        ...

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of one batch drawn with `chance`, and figures to log."""
        ...

    def measure(self) -> Mapping[str, float]:
        """Held-out figures of `model` as it stands."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a stage stops, and how often it looks up."""

    budget: Budget
    seed: int
    measure_seconds: float = 240.0
    checkpoint_seconds: float = 120.0


class Run:
    """A stage in training: its weights, their running average, the optimisers and the place reached."""

    def __init__(self, task: Task, checkpoint: Path) -> None:
        self.task = task
        self.checkpoint = checkpoint
        self.optimisers = make_optimisers(task.model, task.learning_rate)
        self.average = {name: value.detach().clone() for name, value in task.model.state_dict().items()}
        self._on_gpu = next(task.model.parameters()).is_cuda
        self.steps = 0
        self.seconds = 0.0
        if checkpoint.exists():
            self._restore(torch.load(checkpoint, weights_only=True))

    def _restore(self, state: dict[str, Any]) -> None:
        self.task.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.average, self.steps, self.seconds = state["average"], state["steps"], state["seconds"]

    def save(self) -> None:
        """Write the checkpoint; a crash in between leaves the one before."""
        state = {
            "model": self.task.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "average": self.average,
            "steps": self.steps,
            "seconds": self.seconds,
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)

    def step(self, budget: Budget, seed: int) -> Mapping[str, Tensor]:
        """One step of the optimisers."""
        started = time.monotonic()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self._on_gpu):  # on a CPU bfloat16 is slower
            loss, figures = self.task.loss(Chance.of(seed, self.steps))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.task.model.parameters(), _GRADIENT_NORM)
        rate = self.task.learning_rate * self._rate(budget)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        self._average()
        self.seconds += time.monotonic() - started
        return figures

    def _rate(self, budget: Budget) -> float:
        spent = budget.spent(seconds=self.seconds, steps=self.steps)
        return min(1.0, (self.steps + 1) / _WARM_UP, (1 - spent) / _COOL_DOWN + 0.01)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.task.averaging, (1 + self.steps) / (20 + self.steps))
        for name, value in self.task.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def measure(self) -> Mapping[str, float]:
        """The task's held-out figures with the averaged weights."""
        kept = {name: value.detach().clone() for name, value in self.task.model.state_dict().items()}
        self.task.model.load_state_dict(self.average)
        self.task.model.eval()
        with torch.no_grad():
            figures = self.task.measure()
        self.task.model.train()
        self.task.model.load_state_dict(kept)
        return figures


def train(task: Task, checkpoint: Path, *, schedule: Schedule, reporter: Reporter) -> None:
    """Train a stage to the end of its budget, from its checkpoint where there is one; leave the averaged weights."""
    run = Run(task, checkpoint)
    reporter.say(f"{task.name}: {sum(p.numel() for p in task.model.parameters()):,} weights, at step {run.steps}")
    task.model.train()
    measured = saved = time.monotonic()
    with reporter.bar(task.name, total=1.0) as place:
        while (spent := schedule.budget.spent(seconds=run.seconds, steps=run.steps)) < 1:
            figures = run.step(schedule.budget, schedule.seed)
            place(spent)
            now = time.monotonic()
            if now - measured > schedule.measure_seconds:
                reporter.say(_line(run, figures))
                measured = time.monotonic()
            if now - saved > schedule.checkpoint_seconds:
                run.save()
                saved = time.monotonic()
    run.save()
    reporter.say(_line(run, {}))
    task.model.load_state_dict(run.average)
    task.model.eval()


def _line(run: Run, figures: Mapping[str, Tensor]) -> str:
    told = {name: value.item() for name, value in figures.items()} | dict(run.measure())
    words = " ".join(f"{name} {value:.4g}" for name, value in told.items())
    return f"{run.task.name}: step {run.steps} ({run.steps / max(run.seconds, 1e-9):.2f}/s) {words}"
