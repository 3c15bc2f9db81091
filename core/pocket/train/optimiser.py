"""The optimiser of every stage: orthogonalised momentum for matrices, AdamW for the rest."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, final

import torch
from torch import Tensor, nn

# Newton–Schulz coefficients of Muon: fast towards singular values near one, exactness is not needed.
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
_ROUNDS: Final = 5
_RMS: Final = 0.2  # the size of an entry of AdamW's update; makes one learning rate serve both halves


@final
class Muon(torch.optim.Optimizer):
    """Momentum whose update has all singular values near one; convolutions count as matrices [out, in·k·k].

    Learns a small network in about half the samples that AdamW needs. Matrices of one shape are treated together.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers"; scale of Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(parameters), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        if closure is not None:
            raise TypeError("Muon takes no closure")
        for group in self.param_groups:
            shaped: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    direction = self._direction(parameter, parameter.grad, group["momentum"])
                    shaped[direction.shape[0], direction.shape[1]].append((parameter, direction))
            for (rows, columns), pairs in shaped.items():
                parameters, directions = [one for one, _ in pairs], torch.stack([one for _, one in pairs])
                scale = -group["lr"] * _RMS * max(rows, columns) ** 0.5
                for parameter, update in zip(parameters, _orthogonal(directions), strict=True):
                    parameter.add_(update.view_as(parameter), alpha=scale)

    def _direction(self, parameter: nn.Parameter, gradient: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum as a matrix."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        running: Tensor = state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(running, momentum).reshape(parameter.shape[0], -1)


def _orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices with equal singular values, roughly, [n, rows, columns]."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x


def make_optimisers(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for weights of two or more dimensions except embeddings, AdamW for the others."""
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            hidden = parameter.ndim > 1 and id(parameter) not in embeddings
            (matrices if hidden else others).append(parameter)
    chosen: list[torch.optim.Optimizer] = []
    if matrices:
        chosen.append(Muon(matrices, lr=learning_rate))
    if others:
        chosen.append(torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0))
    return chosen
