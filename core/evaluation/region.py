"""Where an edit shows: the region in which the edited picture visibly differs from the reconstruction."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.evaluation._pixels import Rgb, unit_pixels

Mask = NDArray[np.float32]

# CIE 1976 colour difference. 2.3 is just noticeable between flat patches; autoencoder grain of 28 dB, smoothed as
# below, stays under 6.
_VISIBLE_DIFFERENCE: Final = 8.0
# A pixel that changed by less than this share of the strongest change is the strong change's glow.
_RELATIVE_DIFFERENCE: Final = 0.3
_UNITS_PER_SIDE: Final = 64  # every length below is counted in 64ths of the shorter side

_TO_XYZ: Final = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)  # sRGB primaries, white D65


def edit_region(reconstruction: Rgb, edited: Rgb, word_map: Mask | None = None) -> Mask:
    """The measured region of an edit: float32 [height, width], 1 where it shows, else 0.

    The colour difference is averaged over a 64th of the side, cut at what the eye sees and at a share of its strongest
    value; specks go, gaps up to two 64ths close, and the border moves outwards by one.

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
    closed = _shrunk(_grown(kept, 3 * unit), 2 * unit)
    return closed.astype(np.float32)


def _difference(first: Rgb, second: Rgb, unit: int) -> NDArray[np.float64]:
    """Distance of the locally averaged colours in CIE L*a*b*: grain cancels, a changed surface does not."""
    before, after = unit_pixels(first, second)
    signed = _lab(before) - _lab(after)
    averaged = np.stack([_blur(signed[..., channel], unit) for channel in range(3)], axis=-1)
    return np.asarray(np.linalg.norm(averaged, axis=-1))


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    relative = linear @ (_TO_XYZ / _TO_XYZ.sum(1, keepdims=True)).T
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _blur(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian mean; the picture's border is repeated outwards."""
    radius = int(3 * sigma)
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    window /= window.sum()
    height, width = values.shape
    padded = np.pad(values, radius, mode="edge")
    down = sum(share * padded[n : n + height] for n, share in enumerate(window))
    return np.asarray(sum(share * down[:, n : n + width] for n, share in enumerate(window)))


def _attention_weight(word_map: Mask, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """1 where the changed words look most, ½ where they do not look."""
    size = (shape[1], shape[0])
    resized = np.asarray(Image.fromarray(word_map.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    return np.asarray(0.5 + 0.5 * resized / max(float(resized.max()), 1e-12), np.float64)


def _without_specks(mask: NDArray[np.bool_], unit: int) -> NDArray[np.bool_]:
    """Only the connected parts that hold a square of 2 `unit` + 1 pixels, each of them whole."""
    core = _shrunk(mask, unit)
    while True:
        spread = _grown(core, 1) & mask
        if (spread == core).all():
            return core
        core = spread


def _grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    image = Image.fromarray(mask.astype(np.uint8))
    for _ in range(pixels):
        image = image.filter(ImageFilter.MaxFilter(3))
    return np.asarray(image).astype(np.bool_)


def _shrunk(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    return ~_grown(~mask, pixels)
