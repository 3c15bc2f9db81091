"""What learned inversions share: the inner loop's budget, rate and threshold, and the state they resume from."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from core.diffusion.requests import Answer, Denoised, Request, Rows, Tensors, denoise, descend
from core.domain.inversion_specs import Optimisation


def learning_rate(spec: Optimisation, index: int) -> float:
    """Adam's rate at timestep `index`; it falls linearly and would reach zero at timestep 100."""
    return spec.learning_rate * max(1 - index / 100, 0.01)


def fit_timestep(
    leaves: tuple[Tensor, ...],
    rows: Callable[[], Rows],
    loss: Callable[[Denoised], Tensor],
    *,
    spec: Optimisation,
    index: int,
) -> Generator[Request, Answer, tuple[float, Tensor]]:
    """The inner loop of one timestep: Adam until the loss is enough or the budget spent.

    `leaves` are what is learned. Returns the last loss and the UNet's output [c, h, w] for them as they are left. The
    loss is looked at before a step is taken, so that an output that was enough is used as it is; the published code
    takes one step more than it tested and computes the output again.
    """
    optimiser = torch.optim.Adam(leaves, lr=learning_rate(spec, index))
    last = math.nan
    for _ in range(spec.inner_budget(index)):
        fitted = yield from descend(rows, loss, leaves=leaves, enough=spec.enough(index))
        last = fitted.loss
        if fitted.enough:
            return last, fitted.output[0]
        optimiser.step()
    with torch.no_grad():
        final_rows = rows()
    return last, (yield from denoise(final_rows)).output[0]


@final
@dataclass(slots=True)
class Learned:
    """What a learned inversion has found up to some timestep; grows by one entry a timestep.

    `path` holds the latents really sampled, `found` what was learned at each timestep, `carried` the weights the next
    one starts from. Optimisers start afresh at every timestep, so these are the whole state.
    """

    path: list[Tensor]
    found: list[Tensor] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    carried: Tensors = field(default_factory=dict)

    @property
    def index(self) -> int:
        """The timestep to do next."""
        return len(self.found)

    def tensors(self) -> Tensors:
        """The state as tensors."""
        return {
            "path": torch.stack(self.path),
            "found": torch.stack(self.found),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            **{f"carried.{name}": value for name, value in self.carried.items()},
        }

    @classmethod
    def from_tensors(cls, state: Tensors) -> "Learned":
        """The state `tensors` described."""
        carried = {name.removeprefix("carried."): value for name, value in state.items() if name.startswith("carried.")}
        return cls(list(state["path"]), list(state["found"]), state["losses"].tolist(), carried)
