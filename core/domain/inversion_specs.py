"""The parameters of every inversion method."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from core.domain.specs import NotBool, Spec
from core.domain.validation import validate


class InversionMethod(StrEnum):
    """How an image is turned into latents and conditioning that give it back."""

    DDIM = "ddim"
    STYLEDIFFUSION = "stylediffusion"
    NULL_TEXT = "null_text"


class Head(StrEnum):
    """What the mapping network's output means.

    `modulate` scales and shifts the text embedding (the released code), `replace` is the value input itself (the
    paper's text).
    """

    MODULATE = "modulate"
    REPLACE = "replace"


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


InversionSpec = Annotated[DdimSpec | StyleDiffusionSpec | NullTextSpec, Field(discriminator="method")]

_INVERSIONS: TypeAdapter[InversionSpec] = TypeAdapter(InversionSpec)
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
