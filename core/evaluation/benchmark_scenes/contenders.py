"""Who competes, on which edits, at which settings: everything that a result depends on, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, final

import numpy as np

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, resolve_edit
from core.domain.inversion_specs import InversionMethod, InversionSpec, resolve_inversion
from core.evaluation.scene_edits import SceneEdit
from core.pocket.scenes import VALUES, Attribute, Style, attribute_of, sample_scene

# First numbers of the random streams; no training and no other measurement draws from them.
MEASURED: Final = 5_000_011
TUNED: Final = 7_000_003


class Kind(StrEnum):
    """What is edited; results are told by kind, for the methods differ by it."""

    COLOUR = "colour"
    BACKGROUND = "background"
    SHAPE = "shape"


# One preset a kind, held beside others on scenes of the stream TUNED. P2P leaves out `uncond_window`, word swap all
# but the first.
PRESETS: Final[Mapping[Kind, Mapping[str, float]]] = MappingProxyType(
    {
        Kind.COLOUR: {"value_window": 0.5, "cross_window": 0.6, "self_window": 0.6, "uncond_window": 0.5},
        Kind.BACKGROUND: {"value_window": 0.2, "cross_window": 0.6, "self_window": 0.3, "uncond_window": 0.3},
        Kind.SHAPE: {"value_window": 0.2, "cross_window": 0.3, "self_window": 0.2, "uncond_window": 0.5},
    }
)


class Contender(StrEnum):
    """An inverter with an editor; `generation` samples the target's caption from noise and sees no source."""

    STYLEDIFFUSION_P2PLUS = "stylediffusion+p2plus"
    NULL_TEXT_P2P = "null_text+p2p"
    DDIM_P2P = "ddim+p2p"
    DDIM_WORD_SWAP = "ddim+word_swap"
    GENERATION = "generation"

    @property
    def inverter(self) -> InversionMethod | None:
        """How the source is inverted."""
        return None if self is Contender.GENERATION else InversionMethod(self.split("+")[0])

    @property
    def editor(self) -> EditMethod:
        """How the target is sampled."""
        return EditMethod.WORD_SWAP if self is Contender.GENERATION else EditMethod(self.split("+")[1])


EDITORS: Final = tuple(one for one in Contender if one is not Contender.GENERATION)


@final
@dataclass(frozen=True, slots=True)
class Case:
    """One edit of one scene."""

    scene: int  # number in its stream
    kind: Kind
    edit: SceneEdit


def draw_cases(scene: int, *, seed: int, stream: int = MEASURED) -> tuple[Case, ...]:
    """The edits of one scene, a kind each; a scene is the same however many are drawn."""
    rng = np.random.default_rng((stream, seed, scene))
    drawn = sample_scene(rng, objects=1, style=Style.NONE)
    cases = []
    for kind in Kind:
        attribute = Attribute(kind.value)
        others = [value for value in VALUES[attribute] if value != attribute_of(drawn, attribute)]
        cases.append(Case(scene, kind, SceneEdit(drawn, attribute, others[int(rng.integers(len(others)))])))
    return tuple(cases)


def inversion_spec(method: InversionMethod, defaults: Mapping[str, object]) -> InversionSpec:
    """A method's own defaults under the model's."""
    return resolve_inversion(method, {}, defaults)


def edit_spec(contender: Contender, kind: Kind) -> EditSpec:
    """The kind's preset, as far as the editor has its parameters."""
    known = {
        EditMethod.WORD_SWAP: ("value_window",),
        EditMethod.P2P: ("value_window", "cross_window", "self_window"),
        EditMethod.P2PLUS: ("value_window", "cross_window", "self_window", "uncond_window"),
    }[contender.editor]
    return resolve_edit(contender.editor, {name: PRESETS[kind][name] for name in known})
