"""Peak signal-to-noise ratio, in decibels."""

import math
from typing import Final

from core.evaluation._pixels import Region, Rgb
from core.evaluation.mse import mse, mse_pie

# Equal pictures have no finite ratio. At 512² one value that differs by one grey level gives 107 dB, so nothing that
# a person could care about is cut off.
CAP_DECIBELS: Final = 100.0


def psnr(reference: Rgb, image: Rgb, region: Region | None = None) -> float:
    """The ratio over the region's pixels, at most 100 dB.

    Args:
        region: where to compare; `~mask` for what lies outside a mask, None for the whole picture.
    """
    return to_decibels(mse(reference, image, region))


def psnr_pie(reference: Rgb, image: Rgb, region: Region) -> float:
    """The ratio of PIE-Bench: both pictures black outside the region, the mean over *all* pixels.

    It exceeds `psnr` by 10·log10(pixels / pixels of the region), so a larger mask alone improves it.
    Source: Ju et al. 2023, arXiv 2310.01506, section 5.
    """
    return to_decibels(mse_pie(reference, image, region))


def to_decibels(error: float) -> float:
    """A mean squared error of values in [0, 1] as a ratio."""
    return CAP_DECIBELS if error == 0 else min(CAP_DECIBELS, -10 * math.log10(error))
