"""An independent reader of scenes: a small convolutional network that has only ever seen drawn images."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final, Self, final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from core.pocket.scenes import Attribute, Background, Colour, Shape, Size, Style, Texture
from core.pocket.weights import judge_path

# A photo looks like a scene without a style, so the judge knows three looks.
LOOKS: Final = (Style.NONE, Style.SKETCH, Style.MOSAIC)
MOST_OBJECTS: Final = 2

_CHANNELS: Final = (24, 48, 80, 96)
_HIDDEN: Final = 128


@dataclass(frozen=True, slots=True)
class ObjectReading:
    """What the judge takes one object to be."""

    shape: Shape
    colour: Colour
    texture: Texture
    size: Size


@dataclass(frozen=True, slots=True)
class Reading:
    """What the judge takes a picture to be; `whole` reads it as one object, `left` and `right` as a pair."""

    background: Background
    style: Style
    count: int
    whole: ObjectReading
    left: ObjectReading
    right: ObjectReading

    @property
    def objects(self) -> tuple[ObjectReading, ...]:
        """The objects, as many as the judge counts, from left to right."""
        return ((), (self.whole,), (self.left, self.right))[self.count]

    def value(self, attribute: Attribute) -> StrEnum:
        """The reading of one attribute, an object's from `whole`."""
        owner = self if attribute in (Attribute.BACKGROUND, Attribute.STYLE) else self.whole
        found: StrEnum = getattr(owner, attribute)
        return found


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw scores: of the scene [n, values], and of objects per region, whole, left and right [n, 3, values]."""

    count: Tensor
    scene: dict[Attribute, Tensor]
    objects: dict[Attribute, Tensor]


@final
class JudgeNet(nn.Module):
    """Strided convolutions; the last map is pooled whole, left and right, and one set of heads reads all three."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_convolution(3, _CHANNELS[0], stride=2), *_convolution(_CHANNELS[0], _CHANNELS[0])]
        for before, after in pairwise(_CHANNELS):
            layers += _convolution(before, after, stride=2)
            if after != _CHANNELS[-1]:
                layers += _convolution(after, after)
        self.trunk = nn.Sequential(*layers)
        self.neck = nn.Sequential(nn.Linear(2 * _CHANNELS[-1], _HIDDEN), nn.ReLU())
        self.count = nn.Linear(_HIDDEN, MOST_OBJECTS + 1)
        self.background = nn.Linear(_HIDDEN, len(Background))
        self.style = nn.Linear(_HIDDEN, len(LOOKS))
        self.shape = nn.Linear(_HIDDEN, len(Shape))
        self.colour = nn.Linear(_HIDDEN, len(Colour))
        self.texture = nn.Linear(_HIDDEN, len(Texture))
        self.size = nn.Linear(_HIDDEN, len(Size))

    def forward(self, images: Tensor) -> Scores:
        features = self.trunk(images)  # [n, 96, 4, 4]
        left, right = features.chunk(2, dim=-1)
        regions = torch.stack([self.neck(_pool(part)) for part in (features, left, right)], dim=1)  # [n, 3, hidden]
        whole = regions[:, 0]
        return Scores(
            count=self.count(whole),
            scene={Attribute.BACKGROUND: self.background(whole), Attribute.STYLE: self.style(whole)},
            objects={
                Attribute.SHAPE: self.shape(regions),
                Attribute.COLOUR: self.colour(regions),
                Attribute.TEXTURE: self.texture(regions),
                Attribute.SIZE: self.size(regions),
            },
        )


@final
class Judge:
    """Reads pictures; frozen, and no part of anything it measures."""

    def __init__(self, net: JudgeNet) -> None:
        self._net = net.eval().requires_grad_(requires_grad=False)

    @classmethod
    def load(cls, path: Path | None = None, *, device: str = "cpu") -> Self:
        """The packaged judge, or the one in `path` (a safetensors file)."""
        net = JudgeNet()
        weights = load_file(path or judge_path())
        net.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        )
        return cls(net.to(device))

    @property
    def trunk(self) -> nn.Sequential:
        """The convolutions, for a distance between pictures."""
        return self._net.trunk

    @torch.no_grad()
    def read(self, images: Tensor) -> list[Reading]:
        """Read pictures [n, 3, 64, 64] in [-1, 1], on any device, in any floating type."""
        parameter = next(self._net.parameters())
        scores = self._net(images.to(parameter.device, parameter.dtype))
        count = scores.count.argmax(-1).tolist()
        scene = {attribute: values.argmax(-1).tolist() for attribute, values in scores.scene.items()}
        objects = {attribute: values.argmax(-1).tolist() for attribute, values in scores.objects.items()}
        return [
            Reading(
                background=tuple(Background)[scene[Attribute.BACKGROUND][row]],
                style=LOOKS[scene[Attribute.STYLE][row]],
                count=count[row],
                whole=_object_reading(objects, row, 0),
                left=_object_reading(objects, row, 1),
                right=_object_reading(objects, row, 2),
            )
            for row in range(len(count))
        ]


def _convolution(before: int, after: int, *, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def _pool(features: Tensor) -> Tensor:
    return torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)


def _object_reading(winners: dict[Attribute, list[list[int]]], row: int, region: int) -> ObjectReading:
    return ObjectReading(
        shape=tuple(Shape)[winners[Attribute.SHAPE][row][region]],
        colour=tuple(Colour)[winners[Attribute.COLOUR][row][region]],
        texture=tuple(Texture)[winners[Attribute.TEXTURE][row][region]],
        size=tuple(Size)[winners[Attribute.SIZE][row][region]],
    )
