"""What the metrics on pixels share: types, and the region a value speaks of."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rgb: TypeAlias = NDArray[np.uint8]  # [height, width, 3]
Region: TypeAlias = NDArray[np.bool_]  # [height, width], True where pixels are compared
Plane: TypeAlias = NDArray[np.float32]  # [height, width]


class EmptyRegionError(ValueError):
    """There is no pixel to compare."""


def unit_pixels(reference: Rgb, image: Rgb) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both pictures as float64 in [0, 1].

    Raises:
        ValueError: where they are no RGB pictures of 8 bits and one size.
    """
    for picture in (reference, image):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(f"a metric compares uint8 [height, width, 3], not {picture.dtype} {picture.shape}")
    if reference.shape != image.shape:
        raise ValueError(f"a metric compares pictures of one size, not {reference.shape} and {image.shape}")
    return reference / 255.0, image / 255.0


def checked_region(region: Region | None, shape: tuple[int, ...]) -> Region:
    """The region as a mask of the picture's size; None is the whole picture.

    Raises:
        EmptyRegionError: where no pixel belongs to it.
        ValueError: where it is no bool mask of that size.
    """
    if region is None:
        return np.ones(shape[:2], dtype=np.bool_)
    if region.dtype != np.bool_ or region.shape != shape[:2]:
        raise ValueError(f"a region is bool {shape[:2]}, not {region.dtype} {region.shape}")
    if not region.any():
        raise EmptyRegionError("the region holds no pixel")
    return region


def blacked_out(picture: Rgb, region: Region | None) -> Rgb:
    """The picture, black outside the region: what PIE-Bench compares."""
    return picture * checked_region(region, picture.shape)[..., None]


def resized_plane(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """A map of any size, such as a word's attention, at a picture's size."""
    height, width = shape[:2]
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
