"""A picture goes into the model's square and back without touching what was not edited."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.specs import Fit
from core.evaluation.region import edit_region
from core.images import Image, Placement, fit_square, place_back
from core.results import with_rim

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))


def noise(height: int, width: int, *, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def masked_in_original(mask: np.ndarray, placement: Placement, shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels of the original lie in a masked pixel of the square, point by point."""
    seen = np.zeros(shape[:2], dtype=bool)
    shown, within = placement.shown, placement.within
    scale_x, scale_y = (Fraction(inner, outer) for inner, outer in zip(within.size, shown.size, strict=True))
    half = Fraction(1, 2)
    for y in range(shown.top, shown.bottom):
        for x in range(shown.left, shown.right):
            row = within.top + int((y - shown.top + half) * scale_y)
            column = within.left + int((x - shown.left + half) * scale_x)
            seen[y, x] = mask[row, column] > 0
    return seen


@given(size=SIZES, fit=st.sampled_from(Fit))
@settings(deadline=None)
def test_the_square_has_the_models_size_and_the_boxes_lie_inside(size: tuple[int, int], fit: Fit) -> None:
    height, width = size
    square, placement = fit_square(noise(height, width), 32, fit=fit)

    assert square.shape == (32, 32, 3)
    assert 0 <= placement.shown.left < placement.shown.right <= width
    assert 0 <= placement.shown.top < placement.shown.bottom <= height
    assert 0 <= placement.within.left < placement.within.right <= 32
    assert 0 <= placement.within.top < placement.within.bottom <= 32


def test_a_crop_shows_the_middle() -> None:
    image = np.zeros((10, 30, 3), dtype=np.uint8)
    image[:, 10:20] = 255

    square, _ = fit_square(image, 10, fit=Fit.CROP)

    assert square.min() == 255


def test_a_pad_shows_everything_and_repeats_the_border() -> None:
    image = np.full((10, 40, 3), 90, dtype=np.uint8)
    image[:, :20] = 30

    square, placement = fit_square(image, 40, fit=Fit.PAD)

    assert placement.within == (0, 15, 40, 25)
    assert np.array_equal(square[placement.within.top : placement.within.bottom], image)
    assert np.array_equal(square[0], image[0])
    assert np.array_equal(square[-1], image[-1])


@given(size=SIZES, fit=st.sampled_from(Fit), data=st.data())
@settings(deadline=None)
def test_every_pixel_outside_the_region_stays_bit_for_bit(size: tuple[int, int], fit: Fit, data: st.DataObject) -> None:
    original = noise(*size)
    _, placement = fit_square(original, 32, fit=fit)
    seeds = data.draw(st.integers(0, 2**32 - 1))
    coarse = np.random.default_rng(seeds).random((8, 8)) > data.draw(st.floats(0, 1))
    mask = np.kron(coarse, np.ones((4, 4))).astype(np.float32)

    result = place_back(original, noise(32, 32, seed=1), mask, placement=placement)

    outside = ~masked_in_original(mask, placement, original.shape)
    assert result.shape == original.shape
    assert np.array_equal(result[outside], original[outside])


def test_the_original_itself_is_not_written_to() -> None:
    original = noise(40, 40)
    kept = original.copy()
    square, placement = fit_square(original, 32, fit=Fit.CROP)
    place_back(original, 255 - square, np.ones((32, 32), dtype=np.float32), placement=placement)

    assert np.array_equal(original, kept)


@pytest.mark.parametrize("fit", Fit)
@pytest.mark.parametrize("shape", [(32, 32), (24, 32), (96, 64)])
def test_a_full_mask_replaces_everything_shown(fit: Fit, shape: tuple[int, int]) -> None:
    original = np.zeros((*shape, 3), dtype=np.uint8)
    _, placement = fit_square(original, 32, fit=fit)

    white = np.full((32, 32, 3), 255, dtype=np.uint8)
    result = place_back(original, white, np.ones((32, 32), dtype=np.float32), placement=placement)

    shown = placement.shown
    middle = result[shown.top + 8 : shown.bottom - 8, shown.left + 8 : shown.right - 8]
    assert middle.min() == 255
    if shown.size == (shape[1], shape[0]):  # nothing left over: no edge of the picture is feathered
        assert result.min() == 255


def test_the_region_fades_in_from_its_border() -> None:
    original = np.zeros((128, 128, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=np.float32)
    mask[16:48, 16:48] = 1.0
    _, placement = fit_square(original, 64, fit=Fit.CROP)

    result = place_back(original, np.full((64, 64, 3), 255, dtype=np.uint8), mask, placement=placement)

    line = result[64, :64, 0].astype(int)
    assert line[:32].max() == 0
    assert line[40:].min() == 255
    assert (np.diff(line) >= 0).all()
    assert np.diff(line).max() < 128


def test_an_untouched_square_gives_a_smooth_picture_back() -> None:
    across, down = np.meshgrid(np.linspace(0, 250, 96), np.linspace(0, 250, 64))
    original = np.stack([across, down, across / 2 + down / 2], axis=-1).astype(np.uint8)
    square, placement = fit_square(original, 64, fit=Fit.PAD)

    result = place_back(original, square, np.ones((64, 64), dtype=np.float32), placement=placement)

    assert np.abs(result.astype(int) - original).max() <= 6


@pytest.mark.parametrize("times", [3, 4, 5])
def test_nothing_of_what_stood_there_before_stays_around_an_edit(times: int) -> None:
    ground, before, after = 200, (40, 60, 220), (220, 60, 40)
    original = np.full((60 * times, 64 * times, 3), ground, dtype=np.uint8)
    original[15 * times : 45 * times, 17 * times : 47 * times] = before
    square, placement = fit_square(original, 64, fit=Fit.PAD)
    edited = np.full_like(square, ground)
    edited[28:36, 28:36] = after

    result = place_back(original, edited, with_rim(edit_region(square, edited)), placement=placement)

    around = np.ones(result.shape[:2], dtype=bool)
    around[24 * times : 36 * times, 26 * times : 38 * times] = False  # the new object, and what blurs around it
    assert np.abs(result[around].astype(int) - ground).max() <= 8
