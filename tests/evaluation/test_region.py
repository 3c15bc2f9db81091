"""The measured region against true masks of drawn scenes."""

from enum import StrEnum
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.evaluation.region import edit_region
from core.pocket.render import render
from core.pocket.scenes import (
    VALUES,
    Attribute,
    Background,
    Colour,
    Scene,
    SceneObject,
    Shape,
    Size,
    Texture,
    attribute_of,
    sample_scene,
    with_attribute,
)

GRAIN = 5.0  # grey levels; with it two pictures of one scene are 30 dB apart

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@pytest.mark.parametrize("attribute", [Attribute.COLOUR, Attribute.SIZE, Attribute.BACKGROUND])
def test_the_region_is_where_the_scene_changed(attribute: Attribute) -> None:
    rng = np.random.default_rng(7)
    overlaps = []
    for _ in range(20):
        scene = sample_scene(rng, objects=1, plain=True)
        edited = with_attribute(scene, attribute, _another(scene, attribute, rng))
        found = edit_region(_grained(render(scene).image, rng), _grained(render(edited).image, rng)) > 0.5
        overlaps.append(_overlap(found, _changed(scene, edited, attribute)))

    assert np.mean(overlaps) >= 0.8
    assert np.quantile(overlaps, 0.1) >= 0.7


def test_nothing_visible_gives_an_empty_region() -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        image = render(sample_scene(rng)).image

        assert not edit_region(image, image).any()
        assert not edit_region(image, _grained(image, rng)).any()


def test_an_object_of_an_unchanged_pair_stays_outside() -> None:
    pair = (_object(Colour.RED), _object(Colour.BLUE))
    scene = Scene(Background.SAND, pair)
    edited = with_attribute(scene, Attribute.COLOUR, Colour.GREEN, index=1)
    left, right = render(scene).masks > 0.5

    found = edit_region(render(scene).image, render(edited).image) > 0.5

    assert found[right].all()
    assert not found[left].any()


def test_stripes_are_closed_into_one_region() -> None:
    scene = Scene(Background.SAND, (_object(Colour.RED, size=Size.LARGE),))
    edited = with_attribute(scene, Attribute.TEXTURE, Texture.STRIPED)
    inside = render(scene).masks[0] > 0.5

    found = edit_region(render(scene).image, render(edited).image) > 0.5

    assert _overlap(found, inside) >= 0.7


def test_a_speck_is_no_region_and_a_block_is() -> None:
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    speck, block = grey.copy(), grey.copy()
    speck[20, 20] = 255
    block[20:28, 30:38] = 255

    assert not edit_region(grey, speck).any()
    assert edit_region(grey, block)[20:28, 30:38].all()


def test_the_region_scales_with_the_picture() -> None:
    before = np.full((64, 64, 3), 100, dtype=np.uint8)
    after = before.copy()
    after[16:40, 8:32] = (200, 40, 40)
    small = edit_region(before, after)
    large = edit_region(_four_times(before), _four_times(after))

    assert _overlap(large > 0.5, _four_times(small) > 0.5) > 0.9


def test_a_faint_change_counts_only_where_the_words_look() -> None:
    before = np.full((64, 64, 3), 100, dtype=np.uint8)
    after = before.copy()
    after[8:24, 8:24] += 100
    after[40:56, 40:56] += 32
    words = np.zeros((16, 16), dtype=np.float32)
    words[:8, :8] = 0.3

    assert edit_region(before, after)[44:52, 44:52].all()
    assert not edit_region(before, after, words)[44:52, 44:52].any()
    assert edit_region(before, after, words)[10:22, 10:22].all()


def test_the_region_is_a_float_mask_of_the_pictures_size() -> None:
    found = edit_region(np.zeros((48, 40, 3), dtype=np.uint8), np.full((48, 40, 3), 255, dtype=np.uint8))

    assert found.dtype == np.float32
    assert found.shape == (48, 40)
    assert set(np.unique(found)) == {1.0}


def _four_times(picture: NDArray[Any]) -> NDArray[Any]:
    return picture.repeat(4, 0).repeat(4, 1)


def _object(colour: Colour, *, size: Size = Size.SMALL) -> SceneObject:
    return SceneObject(Shape.SQUARE, colour, Texture.PLAIN, size)


def _another(scene: Scene, attribute: Attribute, rng: np.random.Generator) -> StrEnum:
    values = [value for value in VALUES[attribute] if value != attribute_of(scene, attribute)]
    return values[rng.integers(len(values))]


def _changed(before: Scene, after: Scene, attribute: Attribute) -> Mask:
    first, second = (np.asarray(render(scene).masks[0] > 0.5, np.bool_) for scene in (before, after))
    if attribute is Attribute.BACKGROUND:
        return ~first
    return first ^ second if attribute is Attribute.SIZE else first


def _grained(image: Rgb, rng: np.random.Generator) -> Rgb:
    """Like an autoencoder's output: most of the error in patches of the size of a latent cell."""
    patches = rng.standard_normal((3, 16, 16)).astype(np.float32)
    large = [np.asarray(Image.fromarray(patch).resize((64, 64), Image.Resampling.BICUBIC)) for patch in patches]
    grain = 0.5 * np.stack(large, axis=-1) + 0.7 * rng.standard_normal(image.shape)
    return np.clip(image + GRAIN * grain + 0.5, 0, 255).astype(np.uint8)


def _overlap(found: Mask, true: Mask) -> float:
    return float((found & true).sum() / (found | true).sum())
