"""The one definition of every parameter: the API, the database, the worker and the documentation read it.

A caller *gives* a mapping with the few values he cares about; `resolve` merges it over the model's own defaults and
those below into a frozen specification in which nothing is left open.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from core.domain.validation import validate


class InversionMethod(StrEnum):
    """How an image is turned into latents and conditioning that give it back."""

    DDIM = "ddim"
    STYLEDIFFUSION = "stylediffusion"
    NULL_TEXT = "null_text"


class EditMethod(StrEnum):
    """How a target prompt is sampled from an inversion."""

    WORD_SWAP = "word_swap"
    P2P = "p2p"
    P2PLUS = "p2plus"


class Head(StrEnum):
    """What the mapping network's output means.

    `modulate` scales and shifts the text embedding (the released code), `replace` is the value input itself (the
    paper's text).
    """

    MODULATE = "modulate"
    REPLACE = "replace"


class CrossRule(StrEnum):
    """How source attention maps are carried to the target's tokens.

    `replace` needs prompts with the same number of words, `refine` aligns any two, `auto` takes `replace` where it
    can.
    """

    AUTO = "auto"
    REPLACE = "replace"
    REFINE = "refine"


class Fit(StrEnum):
    """How a picture that is not square meets a model that is: the middle of it, or all of it with a border."""

    CROP = "crop"
    PAD = "pad"


class Output(StrEnum):
    """What an edit gives back: the caller's picture with the region changed, or the model's own square."""

    ORIGINAL = "original"
    MODEL = "model"


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


# Always the last of an annotation: bounds that follow a validator are not published as JSON Schema's keywords.
NotBool = BeforeValidator(_refuse_bool)
# The bound keeps a seed exact in every JSON reader (doubles hold integers up to 2^53).
Seed = Annotated[int, Field(ge=0, le=2**53 - 1), NotBool]
Fraction = Annotated[float, Field(ge=0.0, le=1.0), NotBool]
Word = Annotated[str, Field(min_length=1, max_length=64)]


class Spec(BaseModel):
    """A frozen set of parameters; an unknown name is an error, so that no misspelling passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sampling(Spec):
    """What every inversion fixes for itself and for each edit made from it."""

    timesteps: Annotated[int, Field(ge=2, le=200), NotBool] = Field(50, description="T, the number of DDIM timesteps.")
    guidance: Annotated[float, Field(ge=1.0, le=30.0), NotBool] = Field(
        7.5, description="Classifier-free guidance scale w; 1 leaves the unconditional branch out."
    )


class DdimSpec(Sampling):
    """DDIM inversion alone: the trace is kept, the conditioning is the source prompt.

    Source: Song et al. 2021, arXiv 2010.02502.
    """

    method: Literal[InversionMethod.DDIM] = InversionMethod.DDIM


class Optimisation(Sampling):
    """The inner loop that learned inversions run at every timestep."""

    inner_steps: Annotated[int, Field(ge=1, le=500), NotBool] = Field(
        10, description="Largest number of optimiser steps at the first timestep."
    )
    inner_decay: Annotated[float, Field(ge=0.0, le=1.0), NotBool] = Field(
        0.0, description="The budget of timestep i is ceil(inner_steps * exp(-inner_decay * i))."
    )
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0), NotBool] = Field(
        1e-2, description="Adam's rate at the first timestep; timestep i uses learning_rate * (1 - i / 100)."
    )
    stop_loss: Annotated[float, Field(ge=0.0, le=1.0), NotBool] = Field(
        1e-5, description="A timestep ends early once its loss is below stop_loss + stop_slope * i."
    )
    stop_slope: Annotated[float, Field(ge=0.0, le=1.0), NotBool] = Field(2e-5, description="See stop_loss.")


class StyleDiffusionSpec(Optimisation):
    """A network per timestep maps the image's features to the input of the value layers.

    The published budget is inner_steps 100 with inner_decay 0.1; a flat budget reconstructs better for a third of the
    passes on the drawn world, so that is the default (docs/decisions).
    Source: Li et al. 2023, arXiv 2303.15649, section 3.
    """

    method: Literal[InversionMethod.STYLEDIFFUSION] = InversionMethod.STYLEDIFFUSION
    inner_steps: Annotated[int, Field(ge=1, le=500), NotBool] = Field(
        8, description="Largest number of optimiser steps at the first timestep."
    )
    head: Head = Field(Head.MODULATE, description="modulate: c * (1 + gamma) + beta; replace: the network's output.")
    attention_loss: Annotated[float, Field(ge=0.0, le=100.0), NotBool] = Field(
        1.0, description="Weight of the loss that keeps DDIM inversion's attention maps; 0 leaves it out."
    )
    last_map_call: bool = Field(
        False, description="Spend one more UNet call for the attention map of timestep T (paper, footnote 2)."
    )


class NullTextSpec(Optimisation):
    """The unconditional embedding is optimised at every timestep.

    Source: Mokady et al. 2023, arXiv 2211.09794.
    """

    method: Literal[InversionMethod.NULL_TEXT] = InversionMethod.NULL_TEXT


class Swap(Spec):
    """What every edit that samples the target prompt from an inversion's start has."""

    value_window: Fraction = Field(
        0.5, description="tau_v: the target uses learned value inputs in the first tau_v * T timesteps."
    )


class WordSwapSpec(Swap):
    """The target prompt is sampled from the inversion's start without attention control."""

    method: Literal[EditMethod.WORD_SWAP] = EditMethod.WORD_SWAP


class Blend(Spec):
    """Only the region where these words act may change.

    Source: Hertz et al. 2022, arXiv 2208.01626, "local blend".
    """

    source_words: tuple[Word, ...] = Field(..., min_length=1, max_length=16, description="Words of the source prompt.")
    target_words: tuple[Word, ...] = Field(..., min_length=1, max_length=16, description="Words of the target prompt.")
    keep_words: tuple[Word, ...] = Field((), max_length=16, description="Words (of either prompt) that stay untouched.")
    threshold: Fraction = Field(0.3, description="Share of a map's maximum above which a place belongs to the region.")
    start: Fraction = Field(0.2, description="Share of the timesteps after which blending begins.")


class Injection(Swap):
    """What the edits of the Prompt-to-Prompt family have in common."""

    cross_rule: CrossRule = Field(CrossRule.AUTO, description="How cross-attention maps are carried over.")
    cross_window: Fraction = Field(0.6, description="tau_c: cross-attention is injected for this share of timesteps.")
    word_windows: dict[Word, Fraction] = Field(
        default_factory=dict, max_length=16, description="Another tau_c for single words of the target prompt."
    )
    self_window: Fraction = Field(0.6, description="tau_s: self-attention is injected for this share of timesteps.")
    reweight: dict[Word, Annotated[float, Field(ge=-20.0, le=20.0), NotBool]] = Field(
        default_factory=dict, max_length=16, description="Factor on the attention of single words of the target prompt."
    )
    blend: Blend | None = Field(None, description="Keep everything outside the region of these words.")


class P2pSpec(Injection):
    """Attention maps of the source are injected into the target's conditional branch.

    Source: Hertz et al. 2022, arXiv 2208.01626.
    """

    method: Literal[EditMethod.P2P] = EditMethod.P2P


class P2PlusSpec(Injection):
    """P2P plus self-attention injection on the unconditional branch.

    Source: Li et al. 2023, arXiv 2303.15649, section 3.4.
    """

    method: Literal[EditMethod.P2PLUS] = EditMethod.P2PLUS
    uncond_window: Fraction = Field(
        0.5, description="tau_u: unconditional self-attention is injected for this share of timesteps."
    )


InversionSpec = Annotated[DdimSpec | StyleDiffusionSpec | NullTextSpec, Field(discriminator="method")]
EditSpec = Annotated[WordSwapSpec | P2pSpec | P2PlusSpec, Field(discriminator="method")]

_INVERSIONS: TypeAdapter[InversionSpec] = TypeAdapter(InversionSpec)
_EDITS: TypeAdapter[EditSpec] = TypeAdapter(EditSpec)
_FIELDS = {
    InversionMethod.DDIM: DdimSpec.model_fields,
    InversionMethod.STYLEDIFFUSION: StyleDiffusionSpec.model_fields,
    InversionMethod.NULL_TEXT: NullTextSpec.model_fields,
}


def resolve_inversion(
    method: InversionMethod, given: Mapping[str, Any], model_defaults: Mapping[str, Any]
) -> InversionSpec:
    """An inversion's complete parameters: given over the model's defaults over the method's.

    A model's default for a parameter that this method does not have is passed over.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    known = {name: value for name, value in model_defaults.items() if name in _FIELDS[method]}
    return validate(_INVERSIONS, {**known, **given, "method": method}, what=method)


def resolve_edit(method: EditMethod, given: Mapping[str, Any]) -> EditSpec:
    """An edit's complete parameters: given over the method's defaults.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    return validate(_EDITS, {**given, "method": method}, what=method)
