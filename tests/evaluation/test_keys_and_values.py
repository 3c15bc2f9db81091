"""The observation StyleDiffusion rests on, on the pocket model: keys carry the where, values the what."""

from functools import cache

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.evaluation.keys_and_values import COMBINATIONS, Exchanged, changed_positions, exchange
from core.pocket.grids import pixels_of
from core.pocket.judge import Judge, Reading
from core.pocket.scenes import Background, Colour
from core.pocket.weights import model_path

_PAIR = ("a large red circle on grass", "a large blue star on sand")
_CHANGED_PLACES = (
    "a small red circle and a small blue star on grass",
    "a small blue star and a small red circle on grass",
)
_COLOURS, _BACKGROUNDS = (Colour.RED, Colour.BLUE), (Background.GRASS, Background.SAND)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(model_path(), image_encoder=None, dtype=torch.float32)


@cache
def _exchanged(backbone: Backbone, pair: tuple[str, str] = _PAIR) -> Exchanged:
    return exchange(backbone, pair, seed=0, timesteps=8)


def test_the_picture_shows_what_the_values_say(backbone: Backbone) -> None:
    readings: list[Reading] = Judge.load().read(
        pixels_of([backbone.decode(latent) for latent in _exchanged(backbone).latents])
    )

    of_values = [
        (reading.whole.colour == _COLOURS[value]) + (reading.background == _BACKGROUNDS[value])
        for reading, (_, value) in zip(readings, COMBINATIONS, strict=True)
    ]
    assert sum(of_values) >= 2 * len(COMBINATIONS) - 1  # eight timesteps are few: one colour may be off


def test_maps_follow_the_keys_more_than_the_values(backbone: Backbone) -> None:
    """On one and the same latent; the sentences name two objects in the two orders, each in the other's place."""
    changed = changed_positions(backbone, _CHANGED_PLACES)

    values_changed, keys_changed = _exchanged(backbone, _CHANGED_PLACES).likeness(changed)

    assert values_changed > 0.85
    assert keys_changed < values_changed - 0.1


def test_words_in_which_two_sentences_differ_are_found(backbone: Backbone) -> None:
    assert changed_positions(backbone, _PAIR) == [3, 4, 6]
