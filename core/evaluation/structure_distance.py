"""How far an edit moved the layout: the self-similarity of a vision transformer's keys, before and after.

Source: Tumanyan et al. 2022, arXiv 2201.00424 (Splice), eq. 3 and 5.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPVisionModelWithProjection, ViTModel

from core.evaluation._networks import Pixels, Preprocessing, load_network, normalised, to_pixels
from core.evaluation._pixels import Region, Rgb, blacked_out

Keys = Float[Tensor, "tokens width"]

_IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_DINO_SIDE: Final = 224  # pixels of the shorter side, as published
_DINO_LONGEST: Final = 480
_LEAST_NORM: Final = 1e-8


class Scale(StrEnum):
    """What the network is shown; the numbers of the two are not comparable."""

    SPLICE = "splice"  # values 0…1, as the network was trained and Splice measures
    PIE = "pie"  # values 0…255 through the normalisation meant for 0…1, as PIE-Bench's published tables were made


@final
class KeyEncoder:
    """The keys of a vision transformer's last block, all heads side by side, class token included."""

    def __init__(
        self,
        keys: Callable[[Pixels], Keys],
        *,
        name: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        device: str,
    ) -> None:
        self.name = name
        self._keys = keys
        self._mean = mean
        self._std = std
        self._device = torch.device(device)

    @classmethod
    def load_dino(cls, folder: Path, *, name: str, device: str = "cpu") -> "KeyEncoder":
        """Loads a ViT in transformers layout; the published distance is that of facebook/dino-vitb8."""
        network = load_network(ViTModel, folder, device=device, add_pooling_layer=False)

        def keys(pixels: Pixels) -> Keys:
            sized = _resized(pixels, shortest=_DINO_SIDE, longest=_DINO_LONGEST)
            hidden = network.embeddings(sized, interpolate_pos_encoding=True)
            for layer in network.layers[:-1]:
                hidden = layer(hidden)
            last = network.layers[-1]
            found: Keys = last.attention.k_proj(last.layernorm_before(hidden))[0]
            return found

        return cls(keys, name=name, mean=_IMAGENET_MEAN, std=_IMAGENET_STD, device=device)

    @classmethod
    def load_clip(cls, folder: Path, *, preprocessor: Path, name: str, device: str = "cpu") -> "KeyEncoder":
        """Loads a CLIP image encoder, a stand-in for worlds DINO was not trained on."""
        network = load_network(CLIPVisionModelWithProjection, folder, device=device).vision_model
        side = network.config.image_size
        shape = Preprocessing.load(preprocessor)

        def keys(pixels: Pixels) -> Keys:
            sized = F.interpolate(pixels, (side, side), mode="bilinear", antialias=False)
            hidden = network.pre_layrnorm(network.embeddings(sized))
            for layer in network.encoder.layers[:-1]:
                hidden = layer(hidden, attention_mask=None)
            last = network.encoder.layers[-1]
            found: Keys = last.self_attn.k_proj(last.layer_norm1(hidden))[0]
            return found

        return cls(keys, name=name, mean=shape.mean, std=shape.std, device=device)

    @torch.no_grad()
    def __call__(self, picture: Rgb, scale: Scale) -> Keys:
        pixels = to_pixels(picture, self._device)
        if scale is Scale.PIE:
            pixels = pixels * 255
        return self._keys(normalised(pixels, self._mean, self._std))


def structure_distance(
    reference: Rgb, image: Rgb, encoder: KeyEncoder, *, scale: Scale = Scale.SPLICE, region: Region | None = None
) -> float:
    """Mean squared difference of the two pictures' self-similarities.

    Args:
        region: everything outside it is black in both, as PIE-Bench does for its edited and unedited parts.
    """
    first, second = (
        self_similarity(encoder(blacked_out(picture, region), scale).double()) for picture in (reference, image)
    )
    return float(F.mse_loss(first, second))


def self_similarity(keys: Keys) -> Float[Tensor, "tokens tokens"]:
    """The cosine of every pair of keys."""
    norms = keys.norm(dim=1, keepdim=True)
    similarity: Tensor = keys @ keys.T / (norms @ norms.T).clamp(min=_LEAST_NORM)
    return similarity


def _resized(pixels: Pixels, *, shortest: int, longest: int) -> Pixels:
    """Bilinear without anti-aliasing: what the published code computed at its time."""
    height, width = pixels.shape[-2:]
    least, most = min(height, width), max(height, width)
    long_side = int(shortest * most / least)
    short_side = shortest
    if long_side > longest:
        short_side, long_side = int(longest * shortest / long_side), longest
    size = (short_side, long_side) if height <= width else (long_side, short_side)
    return F.interpolate(pixels, size, mode="bilinear", antialias=False)
