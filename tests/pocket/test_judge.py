"""The packaged judge on drawings it has not seen."""

import numpy as np
import pytest
import torch

from core.pocket.evaluate import agreement
from core.pocket.grids import pixels_of
from core.pocket.judge import Judge
from core.pocket.render import render
from core.pocket.scenes import Attribute, Background, Scene, sample_scene


@pytest.fixture(scope="module")
def judge() -> Judge:
    torch.set_num_threads(1)
    return Judge.load()


def draw(seed: int, objects: int, count: int) -> tuple[list[Scene], torch.Tensor]:
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, objects=objects) for _ in range(count)]
    return scenes, pixels_of([render(scene).image for scene in scenes])


def test_every_attribute_of_a_drawn_scene_is_read(judge: Judge) -> None:
    scenes, images = draw(seed=31, objects=1, count=300)
    shares = agreement(scenes, judge.read(images))

    assert min(shares.values()) >= 0.97
    assert set(shares) == set(Attribute)


def test_pairs_are_read_from_left_to_right(judge: Judge) -> None:
    scenes, images = draw(seed=32, objects=2, count=200)
    right = [
        [(one.colour, one.shape) for one in reading.objects] == [(one.colour, one.shape) for one in scene.objects]
        for scene, reading in zip(scenes, judge.read(images), strict=True)
    ]

    assert sum(right) / len(right) >= 0.95


def test_an_empty_scene_has_no_objects(judge: Judge) -> None:
    scenes = [Scene(background, seed=number) for number, background in enumerate(Background)]
    readings = judge.read(pixels_of([render(scene).image for scene in scenes]))

    assert [reading.objects for reading in readings] == [()] * len(scenes)
    assert [reading.background for reading in readings] == list(Background)


def test_half_precision_pictures_are_read_alike(judge: Judge) -> None:
    _, images = draw(seed=33, objects=1, count=20)

    assert judge.read(images.half()) == judge.read(images)
