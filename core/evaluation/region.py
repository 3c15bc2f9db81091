"""Where an edit shows: the region in which the edited picture visibly differs from the reconstruction."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.evaluation._pixels import Plane, Rgb, resized_plane, unit_pixels
from core.masks import grow

# Distance of two sRGB colours, each channel 0…1: 25 grey levels in one channel, 15 in all three. The grain of two
# decoded latents 34 dB apart, averaged as below, stays under it. (In CIE L*a*b*, dark blue grain passes for change.)
_VISIBLE_DIFFERENCE: Final = 0.1
# Averaging makes a change glow outwards; at this share of its strongest value the border lies half a unit outside.
_RELATIVE_DIFFERENCE: Final = 0.3
_UNITS_PER_SIDE: Final = 64  # every length below is counted in 64ths of the shorter side


def edit_region(reconstruction: Rgb, edited: Rgb, word_map: Plane | None = None) -> Plane:
    """The measured region of an edit: float32 [height, width], 1 where it shows, else 0.

    The colour difference is averaged over a 64th of the side, cut at what the eye sees and at a share of its strongest
    value, which leaves the border a little outside the change. Specks go, and gaps of up to four 64ths close.

    Args:
        word_map: optional attention of the changed words [h, w], any scale and size; where they do not look, a change
            must be twice as strong to count.

    Returns:
        Empty (all 0) where nothing visible changed.
    """
    unit = max(1, round(min(edited.shape[:2]) / _UNITS_PER_SIDE))
    difference = _difference(reconstruction, edited, unit)
    visible = difference > _VISIBLE_DIFFERENCE
    if word_map is not None:
        difference = difference * _attention_weight(word_map, difference.shape)
    strongest = difference.max(initial=0.0, where=visible)
    seen = visible & (difference > max(_VISIBLE_DIFFERENCE, _RELATIVE_DIFFERENCE * strongest))
    kept = _without_specks(seen, unit)
    closed = _shrunk(grow(kept, 2 * unit), 2 * unit)
    return closed.astype(np.float32)


def _difference(first: Rgb, second: Rgb, unit: int) -> NDArray[np.float64]:
    """Distance of the locally averaged colours: grain cancels, a changed surface does not."""
    before, after = unit_pixels(first, second)
    signed = before - after
    averaged = np.stack([_blur(signed[..., channel], unit) for channel in range(3)], axis=-1)
    return np.asarray(np.linalg.norm(averaged, axis=-1))


def _blur(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian mean; the picture's border is repeated outwards."""
    radius = int(3 * sigma)
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    window /= window.sum()
    height, width = values.shape
    padded = np.pad(values, radius, mode="edge")
    down = sum(share * padded[n : n + height] for n, share in enumerate(window))
    return np.asarray(sum(share * down[:, n : n + width] for n, share in enumerate(window)))


def _attention_weight(word_map: Plane, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 where the changed words look most, ½ where they do not look."""
    resized = resized_plane(word_map, shape)
    return np.asarray(0.5 + 0.5 * resized / max(float(resized.max()), 1e-12), np.float64)


def _without_specks(mask: NDArray[np.bool_], unit: int) -> NDArray[np.bool_]:
    """Only the connected parts that hold a square of 2 `unit` + 1 pixels, each of them whole."""
    core = _shrunk(mask, unit)
    while True:
        spread = grow(core, 1) & mask
        if (spread == core).all():
            return core
        core = spread


def _shrunk(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    return ~grow(~mask, pixels)
