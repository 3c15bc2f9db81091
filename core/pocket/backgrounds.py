"""The eight backgrounds: a base colour each, and one gentle pattern that a person names at a glance."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pocket.scenes import Background

Floats = NDArray[np.float32]

SIDE: Final = 64
DOWN, ACROSS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)

_TURN: Final = 2 * np.pi


def draw_background(background: Background, rng: np.random.Generator) -> Floats:
    """The background alone, [64, 64, 3] in 0…255, its colour shifted a little by lot."""
    shift = rng.uniform(-6, 6, 3)
    canvas = _PAINTERS[background](rng) + shift
    return np.clip(canvas, 0, 255).astype(np.float32)


def _flat(red: float, green: float, blue: float) -> Floats:
    return np.broadcast_to(np.array([red, green, blue], np.float32), (SIDE, SIDE, 3)).copy()


def _cloud(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Smooth noise of unit strength whose patches are about `height` × `width` pixels, [64, 64, 1]."""
    coarse = rng.standard_normal((SIDE // height + 1, SIDE // width + 1)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)[..., None]


def _waves(rng: np.random.Generator, period: float, sway: float) -> Floats:
    """Horizontal ripples between -1 and 1, [64, 64, 1]; `sway` is how far they bend, in pixels."""
    bend = sway * np.sin(ACROSS * _TURN / rng.uniform(28, 44) + rng.uniform(0, _TURN))
    ripple: Floats = np.sin((DOWN + bend) * _TURN / period + rng.uniform(0, _TURN)).astype(np.float32)
    return ripple[..., None]


def _grass(rng: np.random.Generator) -> Floats:
    blades = 9 * _cloud(rng, 12, 4) + 6 * _cloud(rng, 16, 16)
    return _flat(86, 140, 58) + blades * np.array([0.8, 1.0, 0.6], np.float32)


def _sand(rng: np.random.Generator) -> Floats:
    return _flat(224, 198, 142) + 6 * _waves(rng, rng.uniform(10, 13), 3) + 4 * _cloud(rng, 16, 16)


def _sky(rng: np.random.Generator) -> Floats:
    height = (DOWN / SIDE)[..., None]
    air = (1 - height) * _flat(95, 165, 235) + height * _flat(170, 212, 246)
    cover = np.clip((_cloud(rng, 16, 21) - 0.5) * 1.6, 0, 1)
    return np.asarray(air * (1 - cover) + cover * _flat(244, 248, 252), np.float32)


def _water(rng: np.random.Generator) -> Floats:
    return _flat(32, 118, 152) + 13 * _waves(rng, rng.uniform(9, 12), 2) + 4 * _cloud(rng, 16, 21)


def _wood(rng: np.random.Generator) -> Floats:
    plank, offset = int(rng.integers(15, 19)), rng.uniform(0, 16)
    index = np.floor((ACROSS + offset) / plank).astype(int)
    shades = rng.uniform(-14, 14, SIDE)[index][..., None]
    gap = np.clip(1.6 - np.abs((ACROSS + offset) % plank - 1), 0, 1)[..., None]
    grain = 6 * _cloud(rng, 32, 5)
    return np.asarray((_flat(152, 102, 58) + grain + shades) * (1 - 0.45 * gap), np.float32)


def _night(rng: np.random.Generator) -> Floats:
    sky = _flat(38, 38, 96) + 4 * _cloud(rng, 21, 21)
    for _ in range(int(rng.integers(5, 9))):
        x, y = rng.uniform(3, SIDE - 4, 2)
        glow = np.exp(-((ACROSS - x) ** 2 + (DOWN - y) ** 2) / 2.4)[..., None]
        sky = sky * (1 - glow) + glow * _flat(255, 250, 205)
    return sky


def _brick(rng: np.random.Generator) -> Floats:
    """Courses of 16×8 pixels, every second one shifted by half a brick, with pale joints."""
    y, x = DOWN + rng.uniform(0, 8), ACROSS + rng.uniform(0, 16)
    course = np.floor(y / 8).astype(int)
    x = x + (course % 2) * 8
    shades = rng.uniform(-12, 12, (10, 10))[course, np.floor(x / 16).astype(int)][..., None]
    joint = np.clip(1.5 - np.minimum(np.abs(y % 8 - 0.8), np.abs(x % 16 - 0.8)), 0, 1)[..., None] * 0.7
    wall = (_flat(166, 80, 62) + shades) * (1 - joint) + joint * _flat(200, 190, 180)
    return np.asarray(wall, np.float32)


def _snow(rng: np.random.Generator) -> Floats:
    return _flat(206, 221, 240) + 7 * _cloud(rng, 16, 16) * np.array([1.0, 0.9, 0.5], np.float32)


_PAINTERS: Final[dict[Background, Callable[[np.random.Generator], Floats]]] = {
    Background.GRASS: _grass,
    Background.SAND: _sand,
    Background.SKY: _sky,
    Background.WATER: _water,
    Background.WOOD: _wood,
    Background.NIGHT: _night,
    Background.BRICK: _brick,
    Background.SNOW: _snow,
}
