"""What callers ask of an edit, as the how-to tells it; the judge says whether they got it."""

from typing import Any

import numpy as np

from core.pocket.scenes import Background, Colour, Scene, SceneObject, Shape, Size, Texture
from tests.edits.picturing import CIRCLE, Bench, object_mask, photo

STRIPED = Scene(Background.GRASS, (SceneObject(Shape.CIRCLE, Colour.RED, Texture.STRIPED, Size.LARGE),))
OTHER_SHAPE: dict[str, Any] = {"value_window": 0.2, "cross_window": 0.3, "self_window": 0.2, "uncond_window": 0.2}


def test_an_object_is_replaced(bench: Bench) -> None:
    reading = bench.read(bench.edit("a large red square on grass", **OTHER_SHAPE))

    assert (reading.whole.shape, reading.whole.colour, reading.background) == (
        Shape.SQUARE,
        Colour.RED,
        CIRCLE.background,
    )


def test_a_single_word_is_prompt_enough(bench: Bench) -> None:
    """Nothing tells the colour or the background; both stay."""
    reading = bench.read(bench.edit("square", prompt="circle", **OTHER_SHAPE))

    assert (reading.whole.shape, reading.whole.colour, reading.background) == (
        Shape.SQUARE,
        Colour.RED,
        CIRCLE.background,
    )


def test_a_word_is_added(bench: Bench) -> None:
    """Stripes on a plain object need noise of their own, which its inversion does not have."""
    words = {"words": ["circle"]}
    edit = bench.edit("a large red striped circle on grass", method="sdedit", value_window=0.0, region=words)

    reading = bench.read(edit)
    assert (reading.whole.texture, reading.whole.shape, reading.background) == (
        Texture.STRIPED,
        Shape.CIRCLE,
        CIRCLE.background,
    )


def test_a_word_is_weakened_and_strengthened(bench: Bench) -> None:
    """The more weight the added word has, the further the object is from what it was; with none it stays."""
    inside, before = object_mask(), photo().astype(float)

    def change(factor: float) -> float:
        parameters: dict[str, Any] = {"value_window": 0.0, "self_window": 0.2, "reweight": {"striped": factor}}
        edit = bench.edit("a large red striped circle on grass", **parameters)
        return float(np.abs(edit.picture - before)[inside].mean())

    none, usual, strong = change(0.0), change(1.0), change(3.0)
    assert none < 10
    assert none + 5 < usual < strong - 5


def test_a_word_is_dropped(bench: Bench) -> None:
    striped = photo(STRIPED)

    edit = bench.edit(
        "a large red circle on grass",
        picture=striped,
        prompt="a large red striped circle on grass",
        value_window=0.0,
        self_window=0.2,
    )

    reading = bench.read(edit)
    assert (reading.whole.texture, reading.whole.shape) == (Texture.PLAIN, Shape.CIRCLE)
