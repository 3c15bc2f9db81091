"""An edit acts inside its region and nowhere else, down to the last pixel of the caller's picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.specs import Fit
from core.evaluation.psnr import psnr
from core.images import fit_placement
from core.masks import enlarge, fit_plane, white
from core.pocket.scenes import Background, Colour, Shape
from tests.edits.picturing import CIRCLE, Bench, as_image, object_mask, photo

ON_SAND = "a large red circle on sand"
BLUE = "a large blue circle on grass"


@given(width=st.integers(1, 300), height=st.integers(1, 300), fit=st.sampled_from(Fit), data=st.data())
@settings(deadline=None)
def test_a_single_white_pixel_reaches_the_square_where_it_shows(
    width: int, height: int, fit: Fit, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    plane = np.zeros((height, width), dtype=np.bool_)
    plane[y, x] = True
    left, top, right, bottom = fit_placement(width, height, 64, fit=fit).shown

    fitted = fit_plane(plane, 64, fit=fit)

    assert fitted.shape == (64, 64)
    assert fitted.any() == (left <= x < right and top <= y < bottom)


def test_a_mask_lands_where_its_picture_does() -> None:
    plane = np.zeros((50, 100), dtype=np.bool_)
    plane[:, 50:] = True

    cropped, padded = (fit_plane(plane, 64, fit=fit) for fit in (Fit.CROP, Fit.PAD))

    assert not cropped[:, :32].any()
    assert cropped[:, 32:].all()
    assert np.array_equal(cropped, padded)


def test_white_is_what_is_at_least_half_bright() -> None:
    grey = np.array([[[127] * 3, [128] * 3, [255, 255, 0]]], dtype=np.uint8)

    assert white(grey).tolist() == [[False, True, True]]


def test_a_cell_covers_its_pixels() -> None:
    assert enlarge(np.array([[True, False], [False, False]]), 4)[:2].tolist() == [[True, True, False, False]] * 2


@pytest.mark.parametrize("fit", Fit)
def test_nothing_outside_the_callers_mask_is_touched(bench: Bench, fit: Fit) -> None:
    """The mask is ragged and the picture neither square nor of the model's size."""
    picture = photo(size=(150, 90))
    mask = np.random.default_rng(0).random((90, 150)) < 0.5
    mask[:, :60] = False

    edit = bench.edit(BLUE, picture=picture, fit=fit, images={"img": as_image(mask)}, region={"image_id": "img"})

    changed = (edit.picture != picture).any(-1)
    assert not (changed & ~mask).any()
    assert changed[mask].mean() > 0.05


def test_a_line_of_one_pixel_is_edited(bench: Bench) -> None:
    picture, mask = photo(), np.zeros((64, 64), dtype=np.bool_)
    mask[33, 16:48] = True

    edit = bench.edit(
        "a large white star on snow",
        method="sdedit",
        strength=1.0,
        value_window=0.0,
        images={"img": as_image(mask)},
        region={"image_id": "img"},
    )

    before, after = (image[mask].astype(int).mean(0) for image in (picture, edit.picture))
    assert np.array_equal(edit.picture[~mask], picture[~mask])
    assert after[2] > before[2] + 60  # from red towards white


def test_a_line_of_one_pixel_is_kept(bench: Bench) -> None:
    picture, line = photo(), np.zeros((64, 64), dtype=np.bool_)
    line[33, :] = True

    edit = bench.edit(BLUE, images={"img": as_image(line)}, region={"image_id": "img", "keep": True})

    assert np.array_equal(edit.picture[line], picture[line])
    assert bench.read(edit).whole.colour is Colour.BLUE


def test_the_background_alone_changes_when_the_object_is_kept_by_its_word(bench: Bench) -> None:
    edit = bench.edit(ON_SAND, method="word_swap", region={"words": ["circle"], "keep": True})

    reading, inside = bench.read(edit), object_mask()
    assert (reading.background, reading.whole.shape, reading.whole.colour) == (
        Background.SAND,
        Shape.CIRCLE,
        Colour.RED,
    )
    assert psnr(photo(), edit.picture, inside) > psnr(photo(), edit.picture, ~inside) + 3


def test_a_region_of_the_callers_own_is_kept_bit_for_bit(bench: Bench) -> None:
    inside = object_mask()

    edit = bench.edit(
        ON_SAND, method="word_swap", images={"img": as_image(inside)}, region={"image_id": "img", "keep": True}
    )

    assert np.array_equal(edit.picture[inside], photo()[inside])
    assert bench.read(edit).background is Background.SAND


def test_an_edit_held_to_a_word_stays_where_the_word_acts(bench: Bench) -> None:
    """The target asks for another background too, which has no place in the region."""
    edit = bench.edit("a large blue circle on sand", value_window=0.2, region={"words": ["circle"]})

    reading = bench.read(edit)
    assert (reading.background, reading.whole.colour) == (CIRCLE.background, Colour.BLUE)
