"""NS-LPIPS, the paper's distance of what an edit had to leave alone: LPIPS outside the edited word's attention.

Source: Li et al. 2023, arXiv 2303.15649, section 4.1.
"""

from typing import Final

import numpy as np
import torch
from PIL import Image

from core.evaluation._pixels import Plane, Rgb, checked_region, resized_plane
from core.evaluation.lpips import Perceptual

_THRESHOLD: Final = 0.5
_PUBLISHED_SIZE: Final = (256, 256)


def ns_lpips(reference: Rgb, image: Rgb, network: Perceptual, *, foreground: Plane) -> float:
    """The paper's definition: a binary mask cut at ½, values in [-1, 1], the foreground grey in both pictures.

    Args:
        foreground: the edited words' attention, mean over all heads and 1 at its strongest, or a region; any size.

    Raises:
        EmptyRegionError: where the foreground is everything.
    """
    background = checked_region(resized_plane(foreground, reference.shape) < _THRESHOLD, reference.shape)
    first, second = network.pixels(reference), network.pixels(image)
    kept = torch.from_numpy(background).to(first.device)
    return network.distance(first * kept, second * kept)


def ns_lpips_official(reference: Rgb, image: Rgb, network: Perceptual, *, foreground: Plane) -> float:
    """What the published script computes, for its numbers; three departures from `ns_lpips`, all taken over.

    The mask stays soft (its binary form is overwritten), LPIPS is given values in [0, 1] as if they were in [-1, 1],
    and everything is brought to 256×256 first. Its masks come from half the attention heads: that is the caller's part.
    """
    grey = Image.fromarray((foreground * 255).astype(np.uint8)).resize(_PUBLISHED_SIZE, Image.Resampling.BICUBIC)
    background = torch.from_numpy(1 - np.asarray(grey, np.float32) / 255)
    first, second = ((network.pixels(_sized(picture)) + 1) / 2 for picture in (reference, image))
    background = background.to(first.device)
    return network.distance(first * background, second * background)


def _sized(picture: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(picture).resize(_PUBLISHED_SIZE, Image.Resampling.BILINEAR))
