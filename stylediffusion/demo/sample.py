"""The demo's scene and what is asked of it."""

from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from core.evaluation.benchmark_scenes.contenders import PRESETS, Kind
from core.evaluation.scene_edits import SceneEdit
from core.pocket.scenes import VALUES, Attribute, Scene, Size, Style, Texture, attribute_of, sample_scene

# An added word draws something new inside the object: its layout is let go of soon, the word acts thrice as strongly.
_ADDED_WORD: Final[dict[str, Any]] = {
    "value_window": 0.0,
    "cross_window": 1.0,
    "self_window": 0.1,
    "uncond_window": 0.1,
    "reweight": {str(Texture.STRIPED): 3.0},
}


@final
@dataclass(frozen=True, slots=True)
class Wish:
    """One edit by its name, and the parameters it is sent with."""

    name: str
    edit: SceneEdit
    parameters: dict[str, Any]

    @property
    def short(self) -> str:
        """What changes, for a caption."""
        before = attribute_of(self.edit.scene, self.edit.attribute)
        return f"{before} to {self.edit.value}"


def draw_sample(seed: int) -> tuple[Scene, tuple[Wish, ...]]:
    """A scene with one large plain object, and three edits: an attribute, the object, an added word."""
    rng = np.random.default_rng(seed)
    drawn = sample_scene(rng, objects=1, style=Style.NONE, plain=True)
    scene = replace(drawn, objects=(replace(drawn.objects[0], size=Size.LARGE),))
    colour, shape = (_other(scene, attribute, rng) for attribute in (Attribute.COLOUR, Attribute.SHAPE))
    striped = SceneEdit(scene, Attribute.TEXTURE, Texture.STRIPED)
    return scene, (
        Wish("attribute", colour, dict(PRESETS[Kind.COLOUR])),
        Wish("object", shape, dict(PRESETS[Kind.SHAPE])),
        Wish("word", striped, _ADDED_WORD),
    )


def _other(scene: Scene, attribute: Attribute, rng: np.random.Generator) -> SceneEdit:
    others = [value for value in VALUES[attribute] if value != attribute_of(scene, attribute)]
    return SceneEdit(scene, attribute, others[int(rng.integers(len(others)))])
