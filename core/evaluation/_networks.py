"""What the metrics on networks share: pictures as tensors, a network's name, and loading it once."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar, final

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from core.evaluation._pixels import Rgb

Pixels = Float[Tensor, "1 3 h w"]
Loaded = TypeVar("Loaded")


class Named(Protocol):
    """A network that a result can name."""

    name: str


def to_pixels(picture: Rgb, device: torch.device) -> Pixels:
    """The picture as float32 in [0, 1]."""
    return torch.from_numpy(picture.copy()).to(device).permute(2, 0, 1)[None].float() / 255


def load_network(kind: type[PreTrainedModel], folder: Path, *, device: str, **options: Any) -> Any:
    """A frozen transformers model in float32, every weight of which comes from the folder.

    Raises:
        ValueError: where weights are missing; transformers would draw them by lot and only warn.
    """
    loaded: Any = kind.from_pretrained(folder, output_loading_info=True, **options)
    network, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{folder} is no complete {kind.__name__}: {missing[0]} and {len(missing) - 1} more are missing"
        )
    return network.to(device).float().eval().requires_grad_(requires_grad=False)


def network_name(folder: Path) -> str:
    """What a network is called in a result: the hub's name of a snapshot, else the folder's."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


@final
@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a CLIP image tower wants its pictures: shortest side by bicubic, centre crop, mean and deviation."""

    side: int
    crop: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def load(cls, folder: Path) -> "Preprocessing":
        """Reads `preprocessor_config.json`."""
        config = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        side, crop = config["size"], config["crop_size"]  # older files hold a number, newer ones a mapping
        return cls(
            side=side["shortest_edge"] if isinstance(side, dict) else side,
            crop=crop["height"] if isinstance(crop, dict) else crop,
            mean=tuple(config["image_mean"]),
            std=tuple(config["image_std"]),
        )

    def __call__(self, picture: Rgb, device: torch.device) -> Pixels:
        height, width = picture.shape[:2]
        shortest = min(height, width)
        size = (int(width * self.side / shortest), int(height * self.side / shortest))
        left, top = (size[0] - self.crop) // 2, (size[1] - self.crop) // 2
        resized = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        cropped = resized.crop((left, top, left + self.crop, top + self.crop))
        return normalised(to_pixels(np.asarray(cropped), device), self.mean, self.std)


def normalised(pixels: Pixels, mean: tuple[float, ...], std: tuple[float, ...]) -> Pixels:
    """Less the mean, by the deviation, channel by channel."""
    shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (mean, std))
    return (pixels - shift) / scale


@final
class Lazy(Generic[Loaded]):
    """Loads at the first call, once, whichever thread comes first."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._lock = Lock()
        self._loaded: tuple[Loaded] | None = None

    def __call__(self) -> Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = (self._load(),)
            return self._loaded[0]
