"""Measures both sides in one run: every contender once a round, so that what else the machine does hits all alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, median
from typing import Final, final

import torch

from core.diffusion.driver import drive
from core.domain.catalogue import Model
from core.evaluation.engine_benchmark.crowding import Crowding, measure_crowding
from core.evaluation.engine_benchmark.gauges import count_flops, matmul_peak, peak_bytes, timed
from core.evaluation.engine_benchmark.reference import FROZEN, RELEASED, Fitted, ReferenceLoop
from core.evaluation.engine_benchmark.sides import Ours, Quality, Task, open_reference
from core.evaluation.engine_benchmark.tasks import IMPROVED, PUBLISHED_DECAY, PUBLISHED_STEPS, Budget, Windows

IN_FLIGHT: Final = (1, 2, 4, 8, 16)
SIDES: Final = {"a": RELEASED, "b": FROZEN}
EDITS: Final = 8


@final
@dataclass(frozen=True, slots=True)
class Line:
    """What one contender cost, by job: median seconds of the rounds, UNet rows, operations, share of the peak."""

    name: str
    jobs: int
    rounds: tuple[float, ...]
    forwards: float
    backwards: float
    quality: Quality
    memory_bytes: int | None
    flops: float | None = None
    peak_share: float | None = None
    timesteps: int = 0

    @property
    def seconds(self) -> float:
        """The median of the rounds."""
        return median(self.rounds)


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """All of a run; `peak` is the device's matrix product, operations a second."""

    lines: dict[str, Line]
    crowding: Crowding
    peak: float


@final
@dataclass(frozen=True, slots=True)
class _Work:
    """What a contender did: rows by job, and how good it is, which is looked at when the clock has stopped."""

    quality: Callable[[], Quality]
    forwards: float
    backwards: float


@final
@dataclass(frozen=True, slots=True)
class _Contender:
    name: str
    jobs: int
    run: Callable[[], _Work]
    timesteps: int
    flops: float | None = None
    every_round: bool = True


def run_benchmark(
    model: Model,
    budget: Budget,
    *,
    device: str,
    rounds: int,
    done: Callable[[str], None],
    in_flight: tuple[int, ...] = IN_FLIGHT,
    whole_timesteps: int = IMPROVED.timesteps,
    published_steps: int = PUBLISHED_STEPS,
) -> Measured:
    """Everything, in `rounds` rounds; `done` is told each contender's name as it ends.

    The improved solver meets the released inner loop, of `published_steps` at the first timestep, once and over
    `whole_timesteps`: both spend unequally over the timesteps.
    """
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    whole = replace(budget, timesteps=whole_timesteps, steps=published_steps, decay=PUBLISHED_DECAY, stops=True)
    bench = _Bench(model, budget, whole, device=device, dtype=dtype, in_flight=in_flight)
    records = [_Record(one) for one in bench.contenders]
    peaks = []
    for _ in range(rounds):
        peaks.append(matmul_peak(device, dtype))
        for record in records:
            if record.run(device):
                done(record.contender.name)
    crowding = measure_crowding(bench.ours, bench.tasks[:8], budget, held=bench.held, device=device, rounds=rounds)
    done("edits beside inversions")
    bench.ours.engine.close()
    lines = {record.contender.name: record.line(peak=max(peaks)) for record in records}
    return Measured(lines, crowding, max(peaks))


@final
class _Record:
    """What a contender has shown so far."""

    def __init__(self, contender: _Contender) -> None:
        self.contender = contender
        self._taken: list[float] = []
        self._memory: int | None = None
        self._work: _Work

    def run(self, device: str) -> bool:
        """Lets it take its turn if it has one; the first also tells its memory."""
        if not self._taken:
            self._memory = peak_bytes(device, lambda: self._clock(device))
        elif self.contender.every_round:
            self._clock(device)
        else:
            return False
        return True

    def line(self, *, peak: float) -> Line:
        """The summary; looks at the last turn's quality."""
        flops, work = self.contender.flops, self._work
        return Line(
            self.contender.name,
            self.contender.jobs,
            tuple(self._taken),
            forwards=work.forwards,
            backwards=work.backwards,
            quality=work.quality(),
            memory_bytes=self._memory,
            flops=flops,
            peak_share=None if flops is None else flops / median(self._taken) / peak,
            timesteps=self.contender.timesteps,
        )

    def _clock(self, device: str) -> None:
        def keep() -> None:
            self._work = self.contender.run()

        self._taken.append(timed(device, keep) / self.contender.jobs)


@final
class _Bench:
    """Both sides loaded, warmed up and counted, with what they are to do."""

    def __init__(
        self,
        model: Model,
        budget: Budget,
        published: Budget,
        *,
        device: str,
        dtype: torch.dtype,
        in_flight: tuple[int, ...],
    ) -> None:
        self.ours = Ours(model, device=device, dtype=dtype)
        self.tasks = [self.ours.task(scene, edits=EDITS) for scene in range(max(in_flight))]
        self._budget, self._published = budget, published
        self._loops = {
            name: open_reference(model, habits, device=device, dtype=dtype) for name, habits in SIDES.items()
        }
        self._fitted = {name: loop.invert(self.tasks[0].photo, budget, seed=0) for name, loop in self._loops.items()}
        (ran,) = self.ours.invert_all(self.tasks[:1], budget)
        self.held = ran.result
        self.contenders = [*self._inversions(in_flight), *self._edits(), *self._improved(in_flight)]

    def _inversions(self, in_flight: tuple[int, ...]) -> list[_Contender]:
        short = replace(self._budget, timesteps=2)
        photo, steps = self.tasks[0].photo, self._budget.timesteps
        whole = steps / 2  # every timestep costs the same
        found = []
        for name, loop in self._loops.items():
            flops = whole * count_flops(partial(loop.invert, photo, short, seed=0))
            found.append(_Contender(f"{name}: inversion", 1, self._reference(loop, self._budget), steps, flops))
        flops = whole * count_flops(lambda: drive(self.ours.inversion(self.tasks[0], short), self.ours.backbone))
        return found + [
            _Contender(f"engine: inversions, {count} in flight", count, self._engine(count, self._budget), steps, flops)
            for count in in_flight
        ]

    def _edits(self) -> list[_Contender]:
        found, task = [], self.tasks[0]
        alone = replace(task, targets=task.targets[:1])
        for name, loop in self._loops.items():
            run = self._reference_edit(loop, self._fitted[name], alone)
            found.append(_Contender(f"{name}: edit", 1, run, self._budget.timesteps, count_flops(run)))
        solver = self.ours.edit(task, self.held, self._budget, target=alone.targets[0])
        flops = count_flops(lambda: drive(solver, self.ours.backbone))
        one, all_ = self._engine_edits(alone), self._engine_edits(task)
        return [
            *found,
            _Contender("engine: edit", 1, one, self._budget.timesteps, flops),
            _Contender(f"engine: {EDITS} edits of one inversion", EDITS, all_, self._budget.timesteps),
        ]

    def _improved(self, in_flight: tuple[int, ...]) -> list[_Contender]:
        count, steps = min(8, max(in_flight)), self._published.timesteps
        improved = replace(IMPROVED, timesteps=steps, guidance=self._budget.guidance)
        ours, theirs = self._engine(count, improved), self._reference(self._loops["a"], self._published)
        return [
            _Contender(f"engine: improved, {count} in flight", count, ours, steps, every_round=False),
            _Contender("a: inversion, published budget", 1, theirs, steps, every_round=False),
        ]

    def _reference(self, loop: ReferenceLoop, budget: Budget) -> Callable[[], _Work]:
        def run() -> _Work:
            before = loop.forwards
            fitted = loop.invert(self.tasks[0].photo, budget, seed=0)
            return _Work(lambda: self.ours.reference_quality(fitted), loop.forwards - before, fitted.inner_steps)

        return run

    def _engine(self, count: int, budget: Budget) -> Callable[[], _Work]:
        def run() -> _Work:
            tasks = self.tasks[:count]
            ran = self.ours.invert_all(tasks, budget)
            forwards, backwards = fmean(one.forwards for one in ran), fmean(one.backwards for one in ran)
            return _Work(lambda: self.ours.quality(tasks, ran), forwards, backwards)

        return run

    def _reference_edit(self, loop: ReferenceLoop, fitted: Fitted, task: Task) -> Callable[[], _Work]:
        def run() -> _Work:
            before, (target,) = loop.forwards, task.targets
            latent = loop.edit(fitted, self.ours.embedding(target), Windows(), guidance=self._budget.guidance)
            return _Work(lambda: self.ours.edit_quality(fitted.photo, [latent]), loop.forwards - before, 0)

        return run

    def _engine_edits(self, task: Task) -> Callable[[], _Work]:
        def run() -> _Work:
            ran = self.ours.edit_all(task, self.held, self._budget)
            forwards, latents = fmean(one.forwards for one in ran), [one.result.latent for one in ran]
            return _Work(lambda: self.ours.edit_quality(task.photo, latents), forwards, 0)

        return run
