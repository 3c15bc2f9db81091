"""A caller's mask: white where an edit may act, or what it must keep; no white pixel is lost on the way to a latent."""

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageFilter

from core.domain.specs import Fit
from core.images import Image, fit_placement

Plane = npt.NDArray[np.bool_]  # (height, width)


def white(mask: Image) -> Plane:
    """Where a mask is white: at least half bright."""
    plane: Plane = mask.mean(-1) >= 127.5
    return plane


def fit_plane(plane: Plane, size: int, *, fit: Fit) -> Plane:
    """The plane in the square that `fit_square` makes of a picture of its size: True where any of its pixels is."""
    placement = fit_placement(plane.shape[1], plane.shape[0], size, fit=fit)
    # The mean of what a pixel covers is above 0 where one of them is.
    inner = PIL.Image.fromarray(plane.astype(np.float32)).resize(
        placement.within.size, PIL.Image.Resampling.BOX, box=placement.shown
    )
    left, top, right, bottom = placement.within
    return np.pad(np.asarray(inner) > 0, ((top, size - bottom), (left, size - right)), mode="edge")


def enlarge(cells: Plane, size: int) -> Plane:
    """A latent's cells as pixels of the square."""
    times = size // len(cells)
    return cells.repeat(times, axis=0).repeat(times, axis=1)


def grow(plane: Plane, pixels: int) -> Plane:
    """True within so many pixels, across and down, of where the plane is."""
    image = PIL.Image.fromarray(plane.astype(np.uint8))
    for _ in range(pixels):
        image = image.filter(ImageFilter.MaxFilter(3))
    return np.asarray(image).astype(np.bool_)
