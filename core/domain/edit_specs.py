"""The parameters of every edit method."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from core.domain.edit_parts import Blend, CrossRule, EditMethod, Swap, Word
from core.domain.specs import Fraction, NotBool
from core.domain.validation import validate


class WordSwapSpec(Swap):
    """The target prompt is sampled from the inversion's start without attention control."""

    method: Literal[EditMethod.WORD_SWAP] = EditMethod.WORD_SWAP


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


class SdEditSpec(Swap):
    """The picture is covered with noise in part and denoised with the target prompt.

    Of the inversion it takes the picture, and what was learned where anything was (Li et al. 2023, arXiv 2303.15649,
    figure 18). Source: Meng et al. 2021, arXiv 2108.01073, as text-guided diffusion models use it.
    """

    method: Literal[EditMethod.SDEDIT] = EditMethod.SDEDIT
    strength: Fraction = Field(
        0.8, description="Share of the timesteps that are sampled; 0 is the picture, 1 starts from pure noise."
    )


_Any = WordSwapSpec | P2pSpec | P2PlusSpec | SdEditSpec
EditSpec = Annotated[_Any, Field(discriminator="method")]

_EDITS: TypeAdapter[EditSpec] = TypeAdapter(EditSpec)


def resolve_edit(method: EditMethod, given: Mapping[str, Any]) -> EditSpec:
    """An edit's complete parameters: given over the method's defaults.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    return validate(_EDITS, {**given, "method": method}, what=method)
