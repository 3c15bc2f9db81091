"""Drawing a scene: 64×64 pixels and, for every object, the exact share of each pixel that it covers."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from core.pocket.backgrounds import ACROSS, DOWN, SIDE, Floats, draw_background
from core.pocket.scenes import Colour, Scene, SceneObject, Shape, Size, Style, Texture

Rgb = tuple[float, float, float]
Points = list[tuple[float, float]]

_OVERSAMPLING: Final = 4
_RADII: Final = {Size.SMALL: (10.5, 12.8), Size.LARGE: (18.0, 22.0)}
_HALF: Final = SIDE / 2
_PATTERN_PERIOD: Final = 8.0  # pixels between stripes and between dots
_TILE: Final = 4  # pixels on the side of a mosaic stone

# The colour and the ink of its stripes and dots. White and black get grey ink, or a striped white would look
# like a striped black.
_PAINT: Final[dict[Colour, tuple[Rgb, Rgb]]] = {
    Colour.RED: ((215, 40, 40), (245, 245, 245)),
    Colour.ORANGE: ((245, 140, 30), (70, 60, 60)),
    Colour.YELLOW: ((250, 225, 50), (70, 60, 60)),
    Colour.GREEN: ((40, 205, 70), (245, 245, 245)),
    Colour.BLUE: ((40, 70, 225), (245, 245, 245)),
    Colour.PURPLE: ((150, 50, 190), (245, 245, 245)),
    Colour.WHITE: ((250, 250, 250), (125, 125, 135)),
    Colour.BLACK: ((22, 22, 24), (185, 185, 185)),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn scene: `image` uint8 [64, 64, 3] and `masks` float32 [objects, 64, 64], coverage 0…1."""

    image: NDArray[np.uint8]
    masks: Floats


def render(scene: Scene) -> Rendered:
    """Draw a scene; the same scene always gives the same pixels."""
    backdrop = draw_background(scene.background, np.random.default_rng(scene.seed))
    masks = np.zeros((len(scene.objects), SIDE, SIDE), np.float32)
    fills: list[Floats] = []
    for index, thing in enumerate(scene.objects):
        x, y = _centre(thing, index=index, paired=len(scene.objects) == 2)
        masks[index] = _cover(thing, x, y)
        fills.append(_fill(thing, _pattern(thing, x, y) * _inside(masks[index])))
    canvas = _compose(backdrop, fills, masks=masks, style=scene.style)
    return Rendered(np.clip(canvas + 0.5, 0, 255).astype(np.uint8), masks)


def _compose(backdrop: Floats, fills: list[Floats], *, masks: Floats, style: Style) -> Floats:
    """A style changes how a scene is drawn, never what can be read in it."""
    if style is Style.SKETCH:
        backdrop, fills = _wash(backdrop, 0.4), [_wash(fill, 0.7) for fill in fills]
    if style is Style.MOSAIC:
        backdrop = _pixelate(backdrop)
    canvas = backdrop.copy()
    for fill, mask in zip(fills, masks, strict=True):
        canvas += (fill - canvas) * mask[..., None]
    if style is Style.SKETCH:
        canvas += (40 - canvas) * _outline(masks)
    if style is Style.MOSAIC:
        canvas *= _joints()
    return canvas


def _radius(thing: SceneObject) -> float:
    least, most = _RADII[thing.size]
    return least + thing.swell * (most - least)


def _centre(thing: SceneObject, *, index: int, paired: bool) -> tuple[float, float]:
    """Pixels; one object roams the picture, each of a pair keeps near the middle of its own half."""
    margin = 1.15 * _radius(thing) + 1  # a star's points reach furthest
    y = margin + thing.down * (SIDE - 1 - 2 * margin)
    if paired:
        return _HALF * (index + 0.5) + 3 * thing.across - 2, y
    return margin + thing.across * (SIDE - 1 - 2 * margin), y


def _cover(thing: SceneObject, x: float, y: float) -> Floats:
    """The share of each pixel inside the outline, by drawing large and averaging."""
    large = Image.new("L", (SIDE * _OVERSAMPLING, SIDE * _OVERSAMPLING), 0)
    radius, cosine, sine = _radius(thing), math.cos(thing.turn), math.sin(thing.turn)
    corners = [
        (
            (x + radius * (across * cosine - down * sine) + 0.5) * _OVERSAMPLING,
            (y + radius * (across * sine + down * cosine) + 0.5) * _OVERSAMPLING,
        )
        for across, down in _OUTLINES[thing.shape]
    ]
    ImageDraw.Draw(large).polygon(corners, fill=255)
    share = np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    return share / np.float32(255)


def _fill(thing: SceneObject, ink_share: Floats) -> Floats:
    """The object's paint and ink over the whole picture; the mask cuts it out."""
    paint, ink = (np.array(colour, np.float32) for colour in _PAINT[thing.colour])
    share = ink_share[..., None]
    return np.asarray(np.clip(paint + thing.tint, 0, 255) * (1 - share) + ink * share, np.float32)


def _inside(mask: Floats) -> Floats:
    """Nought along the rim, so that stripes and dots never break an outline, and one further in."""
    soft = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5))
    return np.asarray(np.clip((np.asarray(soft, np.float32) / 255 - 0.68) * 5, 0, 1), np.float32)


def _pattern(thing: SceneObject, x: float, y: float) -> Floats:
    """Where the ink lies, 0…1, counted from the object's middle."""
    if thing.texture is Texture.PLAIN:
        return np.zeros((SIDE, SIDE), np.float32)
    if thing.texture is Texture.STRIPED:
        along = (ACROSS - x) * math.cos(thing.grain) + (DOWN - y) * math.sin(thing.grain)
        return np.asarray(np.clip(np.sin(along * 2 * np.pi / _PATTERN_PERIOD) * 1.8 - 0.3, 0, 1), np.float32)
    half = _PATTERN_PERIOD / 2
    across, down = (ACROSS - x + half) % _PATTERN_PERIOD - half, (DOWN - y + half) % _PATTERN_PERIOD - half
    return np.asarray(np.clip(2.9 - np.hypot(across, down), 0, 1), np.float32)


def _wash(paint: Floats, strength: float) -> Floats:
    """Thinned with white paper."""
    return np.asarray(250 - strength * (250 - paint), np.float32)


def _outline(masks: Floats) -> Floats:
    """A pencil line where coverage changes, [64, 64, 1]."""
    line = np.zeros((SIDE, SIDE), np.float32)
    for mask in masks:
        down, across = np.gradient(mask)
        line = np.maximum(line, np.clip(2.4 * np.hypot(down, across), 0, 1))
    return line[..., None]


def _pixelate(paint: Floats) -> Floats:
    stones = paint.reshape(SIDE // _TILE, _TILE, SIDE // _TILE, _TILE, 3).mean((1, 3))
    return np.asarray(stones.repeat(_TILE, 0).repeat(_TILE, 1), np.float32)


def _joints() -> Floats:
    """The darker lines between stones, [64, 64, 1]; a stone's edge follows an object's, so shapes stay readable."""
    line = (np.arange(SIDE) % _TILE == 0).astype(np.float32)
    joint = np.maximum(line[:, None], line[None, :])[..., None]
    return np.asarray(1 - 0.3 * joint, np.float32)


def _circle() -> Points:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return [(float(np.cos(angle)), float(np.sin(angle))) for angle in angles]


def _star() -> Points:
    """Five points, the inner corners at two fifths of the outer ones."""
    reach = [1.14 if corner % 2 == 0 else 0.46 for corner in range(10)]
    return [(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5)) for i, r in enumerate(reach)]


def _heart() -> Points:
    """The usual heart curve, scaled to the unit disc."""
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    across = np.sin(angles) ** 3
    up = (13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)) / 15.5
    return [(float(x), float(-y) - 0.12) for x, y in zip(across, up, strict=True)]


def _cross() -> Points:
    quarter = [(-0.34, -1.0), (0.34, -1.0), (0.34, -0.34)]
    turns = ((1, 0), (0, 1), (-1, 0), (0, -1))
    return [(x * c - y * s, x * s + y * c) for c, s in turns for x, y in quarter]


_OUTLINES: Final[dict[Shape, Points]] = {
    Shape.CIRCLE: _circle(),
    Shape.SQUARE: [(-0.84, -0.84), (0.84, -0.84), (0.84, 0.84), (-0.84, 0.84)],
    Shape.TRIANGLE: [(0.0, -1.08), (1.04, 0.82), (-1.04, 0.82)],
    Shape.STAR: _star(),
    Shape.HEART: _heart(),
    Shape.CROSS: _cross(),
}
