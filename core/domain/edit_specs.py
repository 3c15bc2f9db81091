"""The parameters of every edit method."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from core.domain.specs import Fraction, NotBool, Spec
from core.domain.validation import validate

Word = Annotated[str, Field(min_length=1, max_length=64)]


class EditMethod(StrEnum):
    """How a target prompt is sampled from an inversion."""

    WORD_SWAP = "word_swap"
    P2P = "p2p"
    P2PLUS = "p2plus"


class CrossRule(StrEnum):
    """How source attention maps are carried to the target's tokens.

    `replace` needs prompts with the same number of words, `refine` aligns any two, `auto` takes `replace` where it
    can.
    """

    AUTO = "auto"
    REPLACE = "replace"
    REFINE = "refine"


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


EditSpec = Annotated[WordSwapSpec | P2pSpec | P2PlusSpec, Field(discriminator="method")]

_EDITS: TypeAdapter[EditSpec] = TypeAdapter(EditSpec)


def resolve_edit(method: EditMethod, given: Mapping[str, Any]) -> EditSpec:
    """An edit's complete parameters: given over the method's defaults.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    return validate(_EDITS, {**given, "method": method}, what=method)
