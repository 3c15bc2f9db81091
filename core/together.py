"""The solvers of one job, told of as one: their timesteps summed, and one checkpoint of all."""

from collections.abc import Callable
from functools import partial
from typing import final

import torch
from safetensors.torch import load, save

from core.diffusion import requests
from core.diffusion.requests import Tensors
from core.domain.studio import Reached

_COUNTS = "counts"  # done and total of every solver


@final
class Together:
    """So many solvers that each finish a timestep before any begins the next, as `Engine.run_all` runs them.

    There is a checkpoint whenever all that go on have finished the same timestep.
    """

    def __init__(self, count: int, *, resume: bytes | None) -> None:
        """Begins, or goes on from a checkpoint of as many; one that another release has left is none."""
        self._count = count
        self._counts: dict[int, tuple[int, int]] = {}
        self._states: dict[int, Callable[[], Tensors]] = {}
        kept = {} if resume is None else load(resume)
        if _COUNTS in kept:
            self._counts = {place: (done, total) for place, (done, total) in enumerate(kept.pop(_COUNTS).tolist())}
            self._states = {place: partial(_part, kept, place) for place in range(count)}
        self._due = self._unfinished()

    def resume(self, place: int) -> Tensors | None:
        """Where the solver of this place goes on; None is its beginning."""
        return self._states[place]() if place in self._states else None

    def reached(self, place: int, told: requests.Reached, *, preview: Callable[[], bytes] | None) -> Reached:
        """What one of them has told, as of all."""
        self._counts[place] = told.done, told.total
        self._states[place] = told.state
        self._due.discard(place)
        complete = not self._due
        if complete:
            self._due = self._unfinished()
        done, total = (sum(part) for part in zip(*self._counts.values(), strict=True))
        return Reached(
            timestep=done,
            timesteps=total + told.total * (self._count - len(self._counts)),
            checkpoint=self._pack if complete else None,
            preview=preview,
        )

    def _unfinished(self) -> set[int]:
        finished = {place for place, (done, total) in self._counts.items() if done == total}
        return set(range(self._count)) - finished

    def _pack(self) -> bytes:
        parts = {place: self._states[place]() for place in range(self._count)}
        tensors = {f"{place}.{name}": tensor for place, part in parts.items() for name, tensor in part.items()}
        counts = torch.tensor([self._counts[place] for place in range(self._count)])
        return save({name: tensor.detach().contiguous().cpu() for name, tensor in {**tensors, _COUNTS: counts}.items()})


def _part(kept: Tensors, place: int) -> Tensors:
    prefix = f"{place}."
    return {name.removeprefix(prefix): tensor for name, tensor in kept.items() if name.startswith(prefix)}
