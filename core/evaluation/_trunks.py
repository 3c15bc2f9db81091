"""The convolutions of the networks that LPIPS was published with, layer by layer as their weights are numbered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn


@final
@dataclass(frozen=True, slots=True)
class Trunk:
    """Layers, the positions whose outputs are compared, and how many channels each of these has."""

    layers: nn.Sequential
    ends: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def stem(self) -> tuple[int, ...]:
        """The shape of the first weight, by which a file tells what network it holds."""
        first = self.layers[0]
        return tuple(first.weight.shape) if isinstance(first, nn.Conv2d) else ()


def alexnet() -> Trunk:
    """Compared after every ReLU.

    Source: Krizhevsky 2014, arXiv 1404.5997, as torchvision has it.
    """
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )
    return Trunk(layers, ends=(1, 4, 7, 9, 11), widths=(64, 192, 384, 256, 256))


def squeezenet() -> Trunk:
    """Version 1.1, compared before each pooling and after each fire that follows the last.

    Source: Iandola et al. 2016, arXiv 1602.07360.
    """
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        _pool(),
        _Fire(64, 16, 64),
        _Fire(128, 16, 64),
        _pool(),
        _Fire(128, 32, 128),
        _Fire(256, 32, 128),
        _pool(),
        _Fire(256, 48, 192),
        _Fire(384, 48, 192),
        _Fire(384, 64, 256),
        _Fire(512, 64, 256),
    )
    return Trunk(layers, ends=(1, 4, 7, 9, 10, 11, 12), widths=(64, 128, 256, 384, 384, 512, 512))


TRUNKS: Final[dict[str, Callable[[], Trunk]]] = {"alex": alexnet, "squeeze": squeezenet}


@final
class _Fire(nn.Module):
    """Squeezed to few channels, then widened by kernels of 1 and of 3."""

    def __init__(self, before: int, squeezed: int, each: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, each, 1)
        self.expand3x3 = nn.Conv2d(squeezed, each, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        squeezed = self.squeeze(maps).relu()
        return torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1).relu()


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
