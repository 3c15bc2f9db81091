"""The drawn world: scenes by lot, edits of them, and captions."""

from dataclasses import replace
from enum import StrEnum

import numpy as np
import pytest

from core.pocket.scenes import (
    BACKGROUND_WORD,
    VALUES,
    Attribute,
    Background,
    Colour,
    Scene,
    SceneObject,
    Shape,
    Size,
    Style,
    Texture,
    attribute_of,
    caption,
    sample_scene,
    with_attribute,
    word_owners,
)

HEART = SceneObject(Shape.HEART, Colour.ORANGE, Texture.STRIPED, Size.LARGE)
STAR = SceneObject(Shape.STAR, Colour.BLUE, Texture.PLAIN, Size.SMALL)


def test_the_world_is_as_large_as_promised() -> None:
    sizes = {attribute: len(tuple(kind)) for attribute, kind in VALUES.items()}

    assert sizes == {"shape": 6, "colour": 8, "texture": 3, "size": 2, "background": 8, "style": 4}


def test_equal_seeds_give_equal_scenes() -> None:
    first, second = ([sample_scene(np.random.default_rng(5)) for _ in range(20)] for _ in range(2))

    assert first == second


def test_scenes_of_a_stream_differ() -> None:
    rng = np.random.default_rng(5)

    assert len({sample_scene(rng) for _ in range(50)}) == 50


def test_everything_in_the_world_is_drawn_sometimes() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng) for _ in range(600)]

    assert {len(scene.objects) for scene in scenes} == {0, 1, 2}
    for attribute in Attribute:
        seen = {attribute_of(scene, attribute) for scene in scenes if scene.objects}
        assert seen == set(VALUES[attribute])


def test_asked_for_objects_and_style_are_given() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, objects=2, style=Style.SKETCH, plain=True) for _ in range(30)]

    assert all(len(scene.objects) == 2 and scene.style is Style.SKETCH for scene in scenes)
    assert {thing.texture for scene in scenes for thing in scene.objects} == {Texture.PLAIN}


@pytest.mark.parametrize("attribute", list(Attribute))
def test_an_edit_changes_one_attribute_alone(attribute: Attribute) -> None:
    scene = sample_scene(np.random.default_rng(3), objects=1)
    value = next(one for one in VALUES[attribute] if one != attribute_of(scene, attribute))
    edited = with_attribute(scene, attribute, value)

    assert attribute_of(edited, attribute) == value
    assert with_attribute(edited, attribute, attribute_of(scene, attribute)) == scene


def test_an_edit_of_the_second_object_leaves_the_first() -> None:
    scene = Scene(Background.SNOW, (HEART, STAR))
    edited = with_attribute(scene, Attribute.COLOUR, Colour.RED, index=1)

    assert edited.objects == (HEART, replace(STAR, colour=Colour.RED))


def test_a_value_of_another_attribute_is_refused() -> None:
    with pytest.raises(TypeError):
        with_attribute(Scene(Background.SKY, (HEART,)), Attribute.SHAPE, Colour.RED)


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (Scene(Background.SAND, (HEART,)), "a large orange striped heart on sand"),
        (Scene(Background.SAND, (STAR,), Style.PHOTO), "a photo of a small blue star on sand"),
        (Scene(Background.NIGHT, (STAR, replace(HEART, size=Size.SMALL)), Style.MOSAIC),
         "a mosaic of a small blue star and a small orange striped heart on night"),
        (Scene(Background.BRICK), "empty brick"),
        (Scene(Background.BRICK, style=Style.SKETCH), "a sketch of empty brick"),
    ],
)  # fmt: skip
def test_the_full_caption_says_everything(scene: Scene, sentence: str) -> None:
    assert caption(scene) == sentence


def test_a_caption_by_lot_only_leaves_words_out() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        scene = sample_scene(rng)
        full, said = iter(caption(scene).split()), caption(scene, rng).split()

        assert all(word in full for word in said)


def test_changing_a_word_changes_one_word_of_the_caption() -> None:
    scene = Scene(Background.WOOD, (replace(HEART, colour=Colour.RED),))
    edited = with_attribute(scene, Attribute.COLOUR, Colour.ORANGE)
    pairs = list(zip(caption(scene).split(), caption(edited).split(), strict=True))

    assert [pair for pair in pairs if pair[0] != pair[1]] == [("red", "orange")]


def test_words_know_what_they_speak_of() -> None:
    owners = word_owners("a sketch of a small blue star and a heart on snow")

    assert owners == (None, None, None, None, 0, 0, 0, None, None, 1, None, BACKGROUND_WORD)


def test_every_value_is_one_plain_word() -> None:
    values: list[StrEnum] = [value for kind in VALUES.values() for value in kind]

    assert all(value.isalpha() and value.islower() for value in values)
    assert len(set(values)) == len(values)
