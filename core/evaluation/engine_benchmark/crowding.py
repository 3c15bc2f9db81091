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
class Crowding:
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


def measure_crowding(ours: Ours, tasks: Sequence[Task], budget: Budget, *, held: Inversion, device: str) -> Crowding:
    """Inversions of all tasks without and with a stream of edits, one every ten times its own latency."""

    def edit() -> None:
        ours.engine.run(ours.edit(tasks[0], held, budget, target=tasks[0].targets[0]), lambda _: None)

    alone = median(timed(device, edit) for _ in range(_ALONE))
    without = timed(device, lambda: ours.invert_all(tasks, budget))
    beside: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(timed, device, lambda: ours.invert_all(tasks, budget))
        beside.append(timed(device, edit))
        while not _ended(running, seconds=PAUSE * alone):
            beside.append(timed(device, edit))
    # The last one may have outlived the inversions.
    crowded = beside[:-1] or beside
    return Crowding(alone, median(crowded), len(crowded), without, running.result())


def _ended(running: Future[float], *, seconds: float) -> bool:
    return bool(wait([running], timeout=seconds).done)
