"""Structural similarity: Gaussian windows of 11×11 pixels, σ 1.5, k₁ .01, k₂ .03, mean of the three channels.

Border: a pixel counts only when its whole window lies inside the picture, so five rows and columns on each side are
left out. So do the authors, scikit-image (`gaussian_weights=True, use_sample_covariance=False`) and torchmetrics up to
1.4.1; torchmetrics from 1.4.2 on counts mirrored borders too and gives other numbers.
Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", eq. 13.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.evaluation._pixels import EmptyRegionError, Region, Rgb, blacked_out, checked_region, unit_pixels

_RADIUS: Final = 5
_SIGMA: Final = 1.5
_C1: Final = 0.01**2
_C2: Final = 0.03**2


def ssim(reference: Rgb, image: Rgb, region: Region | None = None) -> float:
    """The mean over the region's pixels; a window weighs only those of its pixels that belong to the region.

    So what an edit did on the other side of the region's border does not count. On the whole picture it is the
    published index.

    Args:
        region: where to compare; `~mask` for what lies outside a mask, None for the whole picture.

    Raises:
        EmptyRegionError: where no pixel of the region has its window inside the picture.
    """
    first, second = unit_pixels(reference, image)
    counted = checked_region(region, reference.shape)
    inner = counted[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    if not inner.any():
        raise EmptyRegionError("the region holds no pixel with a whole window of 11×11 around it")
    weight = counted[..., None].astype(np.float64)
    return float(np.mean(_similarity(first, second, weight)[inner]))


def ssim_pie(reference: Rgb, image: Rgb, region: Region) -> float:
    """The index of PIE-Bench: both pictures black outside the region, the mean over the whole frame.

    Black equals black, so a larger mask alone improves it.
    Source: Ju et al. 2023, arXiv 2310.01506, section 5.
    """
    return ssim(blacked_out(reference, region), blacked_out(image, region))


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The index of every pixel that has a whole window, [height - 10, width - 10, 3]."""
    # Outside the region the quotient means nothing and may be 0/0; one there keeps it quiet.
    total = np.where(weight[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] > 0, _blur(weight), 1.0)
    mean_x, mean_y = _blur(weight * x) / total, _blur(weight * y) / total
    variance_x = _blur(weight * x * x) / total - mean_x**2
    variance_y = _blur(weight * y * y) / total - mean_y**2
    covariance = _blur(weight * x * y) / total - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return np.asarray(luminance * (2 * covariance + _C2) / (variance_x + variance_y + _C2))


def _blur(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Gaussian mean around every pixel that has a whole window."""
    window = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    window /= window.sum()
    height, width = values.shape[0] - 2 * _RADIUS, values.shape[1] - 2 * _RADIUS
    down = sum(share * values[n : n + height] for n, share in enumerate(window))
    return np.asarray(sum(share * down[:, n : n + width] for n, share in enumerate(window)))
