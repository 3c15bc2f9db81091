"""LPIPS: the distance of two pictures in the features of a network, weighted as people judge.

Source: Zhang et al. 2018, arXiv 1801.03924, eq. 1, version 0.1.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from core.evaluation._networks import Pixels, to_pixels
from core.evaluation._pixels import Region, Rgb, blacked_out, checked_region
from core.evaluation._trunks import TRUNKS, Trunk
from core.pocket.judge import Judge

# Published with the weights: the mean and deviation of ImageNet, for values in [-1, 1].
_SHIFT: Final = (-0.030, -0.088, -0.188)
_SCALE: Final = (0.458, 0.448, 0.450)
_LEAST_NORM: Final = 1e-10

Features = Callable[[Pixels], list[Tensor]]


@final
class Perceptual:
    """A feature network and the weight of every channel in the distance; its name says which."""

    def __init__(self, features: Features, weights: Sequence[Tensor], *, name: str, device: str = "cpu") -> None:
        """Takes the parts as they are.

        Args:
            features: from values in [-1, 1] to one map [1, channels, h, w] per layer.
            weights: one [channels] per layer.
            name: what the network is called in a result.
            device: where the network lives.
        """
        self.name = name
        self._features = features
        self._weights = weights
        self._device = torch.device(device)

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu") -> "Perceptual":
        """Loads the published weights: LPIPS on AlexNet or SqueezeNet 1.1.

        Args:
            folder: safetensors or pth files that together hold the network's `features.*` as torchvision names them
                and the channel weights `lin*.model.1.weight` as the `lpips` package does.
            device: where the network lives.

        Raises:
            ValueError: where a weight is missing, left over or of another shape.
        """
        weights = _read_weights(folder)
        stem = tuple(weights["features.0.weight"].shape) if "features.0.weight" in weights else None
        kind = next((kind for kind, build in TRUNKS.items() if build().stem == stem), None)
        if kind is None:
            raise ValueError(f"{folder} holds no AlexNet and no SqueezeNet 1.1: features.0.weight is {stem}")
        network = _Published(TRUNKS[kind]())
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"{folder} does not hold the weights of LPIPS on {kind}: {error}") from error
        network.to(device).eval().requires_grad_(requires_grad=False)
        return cls(network.maps, network.channel_weights(), name=f"lpips-{kind}", device=device)

    @classmethod
    def pocket(cls, *, device: str = "cpu") -> "Perceptual":
        """A stand-in for drawn scenes: the layers of the packaged judge, every channel of weight 1. It is not LPIPS."""
        trunk = Judge.load(device=device).trunk
        ends = [at for at, (_, after) in enumerate(pairwise(trunk)) if _strided(after)] + [len(trunk) - 1]

        def features(pixels: Pixels) -> list[Tensor]:
            return _at_ends(trunk, ends, pixels)

        widths = [maps.shape[1] for maps in features(torch.zeros(1, 3, 64, 64, device=device))]
        return cls(features, [torch.ones(width, device=device) for width in widths], name="pocket-judge", device=device)

    @torch.no_grad()
    def distance_map(self, reference: Pixels, image: Pixels) -> list[Float[Tensor, "1 1 h w"]]:
        """The weighted distance of every place, per layer at its own size; values in [-1, 1] come in."""
        pairs = zip(self._features(reference), self._features(image), strict=True)
        squares = [(_unit_length(first) - _unit_length(second)) ** 2 for first, second in pairs]
        return [
            (square * weight.view(1, -1, 1, 1)).sum(1, keepdim=True)
            for square, weight in zip(squares, self._weights, strict=True)
        ]

    def distance(self, reference: Pixels, image: Pixels) -> float:
        """The sum over layers of the mean over places: the published value."""
        return float(sum(layer.mean() for layer in self.distance_map(reference, image)))

    def pixels(self, picture: Rgb) -> Pixels:
        """The picture in [-1, 1]."""
        return to_pixels(picture, self._device) * 2 - 1


def lpips(reference: Rgb, image: Rgb, network: Perceptual, *, region: Region | None = None) -> float:
    """The distance, or its mean over a region's pixels.

    With a region both pictures are grey outside it, so that nothing beyond its border counts, and every layer's map is
    brought to the picture's size before the mean.
    """
    first, second = network.pixels(reference), network.pixels(image)
    if region is None:
        return network.distance(first, second)
    inside = torch.from_numpy(checked_region(region, reference.shape)).to(first.device)
    maps = network.distance_map(first * inside, second * inside)
    sized = [F.interpolate(layer, inside.shape, mode="bilinear", align_corners=False)[0, 0] for layer in maps]
    return float(sum(layer[inside].mean() for layer in sized))


def lpips_pie(reference: Rgb, image: Rgb, network: Perceptual, *, region: Region) -> float:
    """The distance of PIE-Bench: both pictures black outside the region, the mean over the whole frame.

    Its tables are those of SqueezeNet.
    Source: Ju et al. 2023, arXiv 2310.01506, section 5.
    """
    return lpips(blacked_out(reference, region), blacked_out(image, region), network)


@final
class _Published(nn.Module):
    """The published network, its parameters named as in the published files."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.features = trunk.layers
        self._ends = trunk.ends
        for n, width in enumerate(trunk.widths):
            self.register_parameter(_slot(n), nn.Parameter(torch.empty(1, width, 1, 1)))

    def maps(self, pixels: Pixels) -> list[Tensor]:
        shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        return _at_ends(self.features, self._ends, (pixels - shift) / scale)

    def channel_weights(self) -> list[Tensor]:
        return [getattr(self, _slot(n)).detach().flatten() for n in range(len(self._ends))]


def _slot(layer: int) -> str:
    return f"lin{layer}"


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of the folder's files, without the classifier that LPIPS does not use."""
    found: dict[str, Any] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors":
            found |= load_file(file)
        elif file.suffix == ".pth":
            found |= torch.load(file, map_location="cpu", weights_only=True)
    return {
        name.removesuffix(".model.1.weight"): tensor.float()
        for name, tensor in found.items()
        if not name.startswith("classifier.")
    }


def _at_ends(layers: nn.Sequential, ends: Sequence[int], pixels: Pixels) -> list[Tensor]:
    found = []
    for at, layer in enumerate(layers):
        pixels = layer(pixels)
        if at in ends:
            found.append(pixels)
    return found


def _strided(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.stride[0] > 1


def _unit_length(features: Tensor) -> Tensor:
    unit: Tensor = features / (features.norm(dim=1, keepdim=True) + _LEAST_NORM)
    return unit
