"""Mean squared error of pixel values in [0, 1]."""

import numpy as np

from core.evaluation._pixels import Region, Rgb, blacked_out, checked_region, unit_pixels


def mse(reference: Rgb, image: Rgb, region: Region | None = None) -> float:
    """The mean over the region's pixels and the three channels.

    Args:
        region: where to compare; `~mask` for what lies outside a mask, None for the whole picture.
    """
    first, second = unit_pixels(reference, image)
    inside = checked_region(region, reference.shape)
    return float(np.mean((first - second)[inside] ** 2))


def mse_pie(reference: Rgb, image: Rgb, region: Region) -> float:
    """The error of PIE-Bench: both pictures black outside the region, the mean over *all* pixels.

    It is `mse` times the region's share of the picture, so it falls as the region shrinks.
    Source: Ju et al. 2023, arXiv 2310.01506, section 5.
    """
    return mse(blacked_out(reference, region), blacked_out(image, region))
