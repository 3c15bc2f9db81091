"""Drawing: the same scene gives the same pixels, and masks are what was drawn."""

import numpy as np
import pytest

from core.pocket.render import render
from core.pocket.scenes import (
    Attribute,
    Background,
    Colour,
    Scene,
    SceneObject,
    Shape,
    Size,
    Style,
    Texture,
    sample_scene,
    with_attribute,
)

BLACK_SQUARE = SceneObject(Shape.SQUARE, Colour.BLACK, Texture.PLAIN, Size.LARGE)


def test_drawing_is_deterministic() -> None:
    scene = sample_scene(np.random.default_rng(8))
    first, second = render(scene), render(scene)

    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.masks, second.masks)


@pytest.mark.parametrize("objects", [0, 1, 2])
def test_a_drawing_has_a_mask_for_every_object(objects: int) -> None:
    drawn = render(sample_scene(np.random.default_rng(8), objects=objects))

    assert (drawn.image.shape, drawn.image.dtype.name) == ((64, 64, 3), "uint8")
    assert (drawn.masks.shape, drawn.masks.dtype.name) == ((objects, 64, 64), "float32")


@pytest.mark.parametrize("style", [Style.NONE, Style.MOSAIC])
def test_a_change_of_colour_changes_exactly_the_masked_pixels(style: Style) -> None:
    scene = Scene(Background.GRASS, (BLACK_SQUARE,), style, seed=4)
    before = render(scene)
    after = render(with_attribute(scene, Attribute.COLOUR, Colour.WHITE))
    changed = (before.image != after.image).any(-1)

    np.testing.assert_array_equal(changed, before.masks[0] > 0.004)  # less than a grey level cannot show


def test_a_change_of_background_keeps_the_object() -> None:
    scene = Scene(Background.GRASS, (BLACK_SQUARE,), seed=4)
    before = render(scene)
    after = render(with_attribute(scene, Attribute.BACKGROUND, Background.SNOW))
    covered = before.masks[0] == 1

    np.testing.assert_array_equal(before.image[covered], after.image[covered])


def test_the_mask_of_an_upright_square_is_its_area() -> None:
    mask = render(Scene(Background.SKY, (BLACK_SQUARE,))).masks[0]
    side = 2 * 0.84 * 20  # the middle of the large radii

    assert mask.sum() == pytest.approx(side**2, rel=0.03)  # drawing rounds to a quarter of a pixel


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_no_object_leaves_the_picture(shape: Shape, corner: float) -> None:
    thing = SceneObject(shape, Colour.RED, Texture.PLAIN, Size.LARGE, across=corner, down=corner, swell=1.0, turn=0.15)
    mask = render(Scene(Background.SKY, (thing,))).masks[0]

    assert mask[[0, -1]].sum() + mask[:, [0, -1]].sum() == 0


def test_the_objects_of_a_pair_keep_to_their_halves() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        left, right = render(sample_scene(rng, objects=2)).masks

        assert left[:, 32:].sum() == 0
        assert right[:, :31].sum() == 0


def test_a_pattern_never_breaks_an_outline() -> None:
    scene = Scene(Background.SKY, (BLACK_SQUARE,))
    plain = render(scene)
    striped = render(with_attribute(scene, Attribute.TEXTURE, Texture.STRIPED))
    changed = (plain.image != striped.image).any(-1)
    rim = (plain.masks[0] > 0) & (plain.masks[0] < 1)

    assert changed.any()
    assert not (changed & rim).any()
