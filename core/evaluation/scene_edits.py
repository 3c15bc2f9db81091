"""An edit of a drawn scene, where the truth is known: what it should change, what it must keep, and whether it did."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from core.evaluation._pixels import Region, Rgb
from core.pocket.grids import pixels_of
from core.pocket.judge import Judge, Reading
from core.pocket.render import Rendered, render
from core.pocket.scenes import Attribute, Scene, attribute_of, caption, with_attribute

# Pixels around an object's outline that belong to neither side: half a cell of the pocket's latents, whose decoder
# mixes what lies within one.
_RIM_PIXELS: Final = 2
_SCENE_WIDE: Final = frozenset({Attribute.BACKGROUND, Attribute.STYLE})


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge read: `asked` is the new value, `kept` everything else as the source truly has it."""

    reading: Reading
    asked: bool
    kept: bool

    @property
    def success(self) -> bool:
        """The asked attribute reads as asked and every other one as before."""
        return self.asked and self.kept


@final
@dataclass(frozen=True, slots=True)
class SceneEdit:
    """One attribute of a scene with one object gets another value."""

    scene: Scene
    attribute: Attribute
    value: StrEnum

    @property
    def target(self) -> Scene:
        """The scene that the edit should show."""
        return with_attribute(self.scene, self.attribute, self.value)

    @property
    def prompts(self) -> tuple[str, str]:
        """Source and target, every word in place."""
        return caption(self.scene), caption(self.target)

    @property
    def of_the_object(self) -> bool:
        """Whether the background has to stay; else the object has to."""
        return self.attribute not in _SCENE_WIDE

    def drawn(self) -> Rendered:
        """The source's pixels and its object's mask."""
        return render(self.scene)

    def kept_region(self) -> Region:
        """Where nothing may change, bool [side, side], without a rim of two pixels.

        For an edit of the object: outside the object as it is and as it should become. Otherwise: inside it.
        """
        before, after = self.drawn().masks[0], render(self.target).masks[0]
        if self.of_the_object:
            return ~_grown(np.maximum(before, after) > 0)
        return ~_grown(before < 1)

    def judge(self, judge: Judge, picture: Rgb) -> Verdict:
        """Reads an edited picture against what the edit should show."""
        (reading,) = judge.read(pixels_of([picture]))
        right = {attribute: reading.value(attribute) == attribute_of(self.target, attribute) for attribute in Attribute}
        asked = right.pop(self.attribute)
        return Verdict(reading, asked, kept=all(right.values()) and reading.count == len(self.scene.objects))


def reading_as_json(reading: Reading) -> dict[str, Any]:
    """What a one-object picture was taken to be."""
    return {
        "count": reading.count,
        **{name: str(value) for name, value in asdict(reading.whole).items()},
        "background": str(reading.background),
        "style": str(reading.style),
    }


def _grown(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    picture = Image.fromarray(region.astype(np.uint8) * 255)
    return np.asarray(picture.filter(ImageFilter.MaxFilter(2 * _RIM_PIXELS + 1))) > 0
