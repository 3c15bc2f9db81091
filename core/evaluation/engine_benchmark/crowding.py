"""Edits that arrive while inversions run: how long they take, and what that costs the inversions."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from statistics import median
from typing import Final, final

from core.diffusion.inversion.inversion import Inversion
from core.evaluation.engine_benchmark.gauges import timed
from core.evaluation.engine_benchmark.sides import Ours, Task
from core.evaluation.engine_benchmark.tasks import Budget

_ALONE: Final = 3  # edits alone, of which the median counts
# An edit comes after so many times what one takes alone: a tenth of the device, were it free.
PAUSE: Final = 9.0


@final
@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of an edit alone and beside inversions, and of the inversions without and with the edits."""

    edit_alone: float
    edit_beside: float
    edits: int
    inversions_alone: float
    inversions_beside: float

    @property
    def latency_ratio(self) -> float:
        """How many times longer an edit takes."""
        return self.edit_beside / self.edit_alone

    @property
    def throughput_kept(self) -> float:
        """The share of their throughput that the inversions keep."""
        return self.inversions_alone / self.inversions_beside


@final
@dataclass(frozen=True, slots=True)
class Crowding:
    """The rounds of a run; a ratio is the median of theirs."""

    rounds: tuple[Round, ...]

    @property
    def edits(self) -> int:
        """How many were measured beside inversions."""
        return sum(one.edits for one in self.rounds)

    @property
    def latency_ratio(self) -> float:
        """How many times longer an edit takes."""
        return median(one.latency_ratio for one in self.rounds)

    @property
    def throughput_kept(self) -> float:
        """The share of their throughput that the inversions keep."""
        return median(one.throughput_kept for one in self.rounds)


def measure_crowding(
    ours: Ours, tasks: Sequence[Task], budget: Budget, *, held: Inversion, device: str, rounds: int
) -> Crowding:
    """Inversions of all tasks without and with a stream of edits, one every ten times its own latency."""

    def edit() -> None:
        ours.engine.run(ours.edit(tasks[0], held, budget, target=tasks[0].targets[0]), lambda _: None)

    def invert() -> float:
        return timed(device, lambda: ours.invert_all(tasks, budget))

    def crowd(alone: float) -> tuple[float, list[float]]:
        beside: list[float] = []
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(invert)
            beside.append(timed(device, edit))
            while not _ended(running, seconds=PAUSE * alone):
                beside.append(timed(device, edit))
        # The last one may have outlived the inversions.
        return running.result(), beside[:-1] or beside

    measured: list[Round] = []
    for number in range(rounds):
        alone = median(timed(device, edit) for _ in range(_ALONE))
        # Who begins changes, so that what comes and goes on the machine meets both alike.
        before = None if number % 2 else invert()
        crowded, beside = crowd(alone)
        measured.append(Round(alone, median(beside), len(beside), before or invert(), crowded))
    return Crowding(tuple(measured))


def _ended(running: Future[float], *, seconds: float) -> bool:
    return bool(wait([running], timeout=seconds).done)
