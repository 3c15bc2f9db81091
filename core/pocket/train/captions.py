"""Captions as training says them: words left out, sometimes nothing, sometimes a false word that is muted.

A muted word is attended to with weight nought. Because it is false, the picture can be right only if no other word
has taken up its meaning, which a text encoder otherwise lets happen: so each meaning stays in its own word, where an
edit or a reweighting of attention finds it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.pocket.scenes import Colour, Scene, Shape, Size, Texture, caption

_EMPTY_ODDS: Final = 0.1  # for guidance
_FALSE_ODDS: Final = 0.4  # at 0.15, 868 steps of 32 left half of the stripes in other words
_PATTERN_ODDS: Final = 0.7  # that the false word is a pattern: the meaning that most readily moves to other words

_PATTERNS: Final = (str(Texture.STRIPED), str(Texture.DOTTED))
_RIVALS: Final[dict[str, tuple[str, ...]]] = {
    word: tuple(map(str, kind))
    for kind in (tuple(Shape), tuple(Colour), tuple(Size), _PATTERNS)
    for word in map(str, kind)
}


@dataclass(frozen=True, slots=True)
class Said:
    """A caption, and the place of its muted word, if it has one."""

    text: str
    muted: int | None = None


def say(scene: Scene, rng: np.random.Generator) -> Said:
    """A caption of a scene for one step of training."""
    if rng.random() < _EMPTY_ODDS:
        return Said("")
    text = caption(scene, rng)
    return _mislead(text, rng) if scene.objects and rng.random() < _FALSE_ODDS else Said(text)


def other_pattern(text: str) -> tuple[str, int] | None:
    """The caption with its first pattern exchanged for the other one, and that word's place; None without one."""
    words = text.split()
    place = next((place for place, word in enumerate(words) if word in _PATTERNS), None)
    if place is None:
        return None
    [words[place]] = (word for word in _PATTERNS if word != words[place])
    return " ".join(words), place


def factors_of(said: list[Said], tokens: int) -> Tensor | None:
    """What attention to each token is multiplied by, [captions, tokens]; None where no word is muted."""
    muted = [(row, one.muted + 1) for row, one in enumerate(said) if one.muted is not None]  # the start token is first
    if not muted:
        return None
    factors = torch.ones(len(said), tokens)
    for row, place in muted:
        factors[row, place] = 0
    return factors


def _mislead(text: str, rng: np.random.Generator) -> Said:
    """Change one word of an object to a false one; a plain object is called striped or dotted."""
    words = text.split()
    places = [place for place, word in enumerate(words) if word in _RIVALS]
    if rng.random() < _PATTERN_ODDS:
        places = [place for place in places if words[place] in _PATTERNS] or [
            place for place in places if words[place] in tuple(Shape)
        ]
    place = places[int(rng.integers(len(places)))]
    if words[place] in tuple(Shape) and words[place - 1] not in _PATTERNS:
        words.insert(place, _pick(_PATTERNS, rng))
    else:
        words[place] = _pick(tuple(word for word in _RIVALS[words[place]] if word != words[place]), rng)
    return Said(" ".join(words), place)


def _pick(words: tuple[str, ...], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
