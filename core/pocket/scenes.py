"""The drawn world: what a scene may hold, how one is drawn by lot, and the sentence that describes it."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

import numpy as np


class Shape(StrEnum):
    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    STAR = "star"
    HEART = "heart"
    CROSS = "cross"


class Colour(StrEnum):
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    WHITE = "white"
    BLACK = "black"


class Texture(StrEnum):
    PLAIN = "plain"
    STRIPED = "striped"
    DOTTED = "dotted"


class Background(StrEnum):
    GRASS = "grass"
    SAND = "sand"
    SKY = "sky"
    WATER = "water"
    WOOD = "wood"
    NIGHT = "night"
    BRICK = "brick"
    SNOW = "snow"


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Style(StrEnum):
    """How the scene is drawn; a photo looks like the style without a name."""

    NONE = "none"
    PHOTO = "photo"
    SKETCH = "sketch"
    MOSAIC = "mosaic"


class Attribute(StrEnum):
    """What an edit can change: the first four of an object, the last two of the whole scene."""

    SHAPE = "shape"
    COLOUR = "colour"
    TEXTURE = "texture"
    SIZE = "size"
    BACKGROUND = "background"
    STYLE = "style"


VALUES: Final[dict[Attribute, type[StrEnum]]] = {
    Attribute.SHAPE: Shape,
    Attribute.COLOUR: Colour,
    Attribute.TEXTURE: Texture,
    Attribute.SIZE: Size,
    Attribute.BACKGROUND: Background,
    Attribute.STYLE: Style,
}

_Kind = TypeVar("_Kind", bound=StrEnum)

_SCENE_WIDE: Final = (Attribute.BACKGROUND, Attribute.STYLE)
_TEXTURE_ODDS: Final = (0.5, 0.25, 0.25)
_STYLE_ODDS: Final = (0.64, 0.12, 0.12, 0.12)
_PAIR_ODDS: Final = 0.25
_EMPTY_ODDS: Final = 0.03


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object: four attributes a caption may name, and the accidents of its drawing, which no caption names."""

    shape: Shape
    colour: Colour
    texture: Texture
    size: Size
    across: float = 0.5  # place in the room its size leaves, 0 left … 1 right
    down: float = 0.5  # 0 top … 1 bottom
    swell: float = 0.5  # place in the range of radii its size allows, 0 … 1
    turn: float = 0.0  # radians
    grain: float = 0.0  # direction of the stripes, radians
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)  # added to the colour, of 255


@dataclass(frozen=True, slots=True)
class Scene:
    """None, one or two objects (first mentioned = left) on a background; `seed` decides the background's accidents."""

    background: Background
    objects: tuple[SceneObject, ...] = ()
    style: Style = Style.NONE
    seed: int = field(default=0)


def sample_scene(
    rng: np.random.Generator, *, objects: int | None = None, style: Style | None = None, plain: bool = False
) -> Scene:
    """A scene drawn by lot.

    Args:
        rng: the only source of chance; equal states give equal scenes.
        objects: 0, 1 or 2; None draws 3 % empty and 25 % paired scenes.
        style: None draws one.
        plain: keep every object's texture plain.
    """
    count, lot = _object_count(rng), _draw_style(rng)
    count = count if objects is None else objects
    things = tuple(_sample_object(rng, paired=count == 2, plain=plain) for _ in range(count))
    background = _pick(rng, Background)
    return Scene(background, things, lot if style is None else style, int(rng.integers(2**31)))


def with_attribute(scene: Scene, attribute: Attribute, value: StrEnum, *, index: int = 0) -> Scene:
    """The same scene with one attribute changed (of object `index`, where it is an object's), all accidents kept."""
    kind = VALUES[attribute]
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {attribute}")
    change: dict[str, Any] = {attribute.value: value}
    if attribute in _SCENE_WIDE:
        return replace(scene, **change)
    changed = replace(scene.objects[index], **change)
    return replace(scene, objects=(*scene.objects[:index], changed, *scene.objects[index + 1 :]))


def attribute_of(scene: Scene, attribute: Attribute, *, index: int = 0) -> StrEnum:
    """The value a scene has of an attribute (of object `index`, where it is an object's)."""
    owner = scene if attribute in _SCENE_WIDE else scene.objects[index]
    return VALUES[attribute](getattr(owner, attribute))


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """The sentence that describes a scene.

    Without `rng` every word is there ("plain" is never said); with it words are left out by lot, as people do.
    The article is always "a": then changing one word never moves or changes another.
    """
    phrase = " and ".join(_describe(thing, rng) for thing in scene.objects)
    if not phrase:
        phrase = f"empty {scene.background}"
    elif _says(rng, 0.95):
        phrase += f" on {scene.background}"
    return phrase if scene.style is Style.NONE else f"a {scene.style} of {phrase}"


BACKGROUND_WORD: Final = -1

_OBJECT_WORDS: Final = frozenset([*Shape, *Colour, *Texture, *Size])


def word_owners(sentence: str) -> tuple[int | None, ...]:
    """For each word of a caption what it speaks of: an object's index, `BACKGROUND_WORD`, or None."""
    owners: list[int | None] = []
    index = 0
    for word in sentence.split():
        index += word == "and"
        scenery = BACKGROUND_WORD if word in set(Background) else None
        owners.append(index if word in _OBJECT_WORDS else scenery)
    return tuple(owners)


def _object_count(rng: np.random.Generator) -> int:
    lot = rng.random()
    return 0 if lot < _EMPTY_ODDS else 2 if lot < _EMPTY_ODDS + _PAIR_ODDS else 1


def _draw_style(rng: np.random.Generator) -> Style:
    return tuple(Style)[int(rng.choice(len(Style), p=_STYLE_ODDS))]


def _sample_object(rng: np.random.Generator, *, paired: bool, plain: bool) -> SceneObject:
    shape, colour, size = _pick(rng, Shape), _pick(rng, Colour), _pick(rng, Size)
    texture = tuple(Texture)[int(rng.choice(len(Texture), p=_TEXTURE_ODDS))]
    across, down, swell = (float(value) for value in rng.random(3))
    red, green, blue = (float(value) for value in rng.uniform(-8, 8, 3))
    return SceneObject(
        shape=shape,
        colour=colour,
        texture=Texture.PLAIN if plain else texture,
        size=Size.SMALL if paired else size,  # two large ones do not fit
        across=across,
        down=down,
        swell=swell,
        turn=float(rng.uniform(-0.15, 0.15)),
        grain=float(rng.integers(3)) * np.pi / 4,
        tint=(red, green, blue),
    )


def _describe(thing: SceneObject, rng: np.random.Generator | None) -> str:
    words = ["a"]
    if _says(rng, 0.6):
        words.append(thing.size)
    if _says(rng, 0.94):
        words.append(thing.colour)
    if thing.texture is not Texture.PLAIN:
        words.append(thing.texture)
    return " ".join([*words, thing.shape])


def _says(rng: np.random.Generator | None, odds: float) -> bool:
    return rng is None or bool(rng.random() < odds)


def _pick(rng: np.random.Generator, kind: type[_Kind]) -> _Kind:
    return tuple(kind)[int(rng.integers(len(kind)))]
