"""The parameters of every inversion method."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from core.domain.inversion_parts import (
    AttentionLoss,
    ClosingShare,
    ClosingSteps,
    Correction,
    Feeds,
    Guidance,
    Head,
    InnerSteps,
    Threshold,
    Timesteps,
)
from core.domain.specs import Fraction, NotBool, Spec
from core.domain.validation import validate


class InversionMethod(StrEnum):
    """How an image is turned into latents and conditioning that give it back."""

    DDIM = "ddim"
    STYLEDIFFUSION = "stylediffusion"
    VALUE_EMBEDDING = "value_embedding"
    TEXT_EMBEDDING = "text_embedding"
    NULL_TEXT = "null_text"
    NEGATIVE_PROMPT = "negative_prompt"
    PROXIMAL = "proximal"
    DIRECT = "direct"
    EDIT_FRIENDLY = "edit_friendly"
    PIX2PIX_ZERO = "pix2pix_zero"


class Sampling(Spec):
    """What every inversion fixes for itself and for each edit made from it."""

    timesteps: Timesteps = 50
    guidance: Guidance = 7.5


class DdimSpec(Sampling):
    """DDIM inversion alone: the trace is kept, the conditioning is the source prompt.

    Source: Song et al. 2021, arXiv 2010.02502.
    """

    method: Literal[InversionMethod.DDIM] = InversionMethod.DDIM


class Optimisation(Sampling):
    """The inner loop that learned inversions run at every timestep."""

    inner_steps: InnerSteps = 10
    inner_decay: Fraction = Field(0.0, description="Timestep i may take ceil(inner_steps * exp(-inner_decay * i)).")
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0), NotBool] = Field(
        1e-2, description="Adam's rate at the first timestep; timestep i uses learning_rate * (1 - i / 100)."
    )
    stop_loss: Fraction = Field(1e-5, description="A timestep ends once its loss is below stop_loss + stop_slope * i.")
    stop_slope: Fraction = Field(2e-5, description="See stop_loss.")
    closing_steps: ClosingSteps = 0
    closing_share: ClosingShare = 0.2
    attention_loss: AttentionLoss = 0.0
    last_map_call: bool = Field(
        False, description="Spend one more UNet call for the attention map of timestep T (paper, footnote 2)."
    )

    def closes(self, index: int) -> bool:
        """Whether timestep `index` is one of the closing ones."""
        return self.closing_steps > 0 and index >= self.timesteps - math.ceil(self.closing_share * self.timesteps)

    def inner_budget(self, index: int) -> int:
        """The largest number of optimiser steps at timestep `index`: ceil(N exp(-decay * index)) until the closing."""
        falling = math.ceil(self.inner_steps * math.exp(-self.inner_decay * index))
        return self.closing_steps if self.closes(index) else falling

    def enough(self, index: int) -> float:
        """The loss below which timestep `index` ends early."""
        return 0.0 if self.closes(index) else self.stop_loss + self.stop_slope * index


class StyleDiffusionSpec(Optimisation):
    """A network per timestep maps the image's features to the input of the value layers.

    The published budget is inner_steps 100 with inner_decay 0.1; a flat budget reconstructs better for a third of the
    passes on the drawn world, so that is the default (docs/decisions).
    Source: Li et al. 2023, arXiv 2303.15649, section 3; `feeds` and an attention_loss of 0 are its ablations, section
    5.2.
    """

    method: Literal[InversionMethod.STYLEDIFFUSION] = InversionMethod.STYLEDIFFUSION
    inner_steps: InnerSteps = 8
    head: Head = Field(Head.MODULATE, description="modulate: c * (1 + gamma) + beta; replace: the network's output.")
    feeds: Feeds = Field(Feeds.VALUE, description="The layers that take the network's output; the method's own: value.")
    attention_loss: AttentionLoss = 1.0


class ValueEmbeddingSpec(Optimisation):
    """An embedding per timestep, without a network or the image's features, feeds the value layers.

    Source: Li et al. 2023, arXiv 2303.15649, section 5.2, "value-embedding optimization"; with null-text's inner loop,
    since none is published.
    """

    method: Literal[InversionMethod.VALUE_EMBEDDING] = InversionMethod.VALUE_EMBEDDING
    attention_loss: AttentionLoss = 1.0


class TextEmbeddingSpec(Optimisation):
    """The source's own text embedding is optimised at every timestep; an edit's target keeps plain text.

    Source: the released code of Li et al. 2023, arXiv 2303.15649 (its third demonstration of P2Plus).
    """

    method: Literal[InversionMethod.TEXT_EMBEDDING] = InversionMethod.TEXT_EMBEDDING


class NullTextSpec(Optimisation):
    """The unconditional embedding is optimised at every timestep; with an attention_loss this is Null-text+.

    Source: Mokady et al. 2023, arXiv 2211.09794; Null-text+, Li et al. 2023, arXiv 2303.15649.
    """

    method: Literal[InversionMethod.NULL_TEXT] = InversionMethod.NULL_TEXT


class NegativePromptSpec(Sampling):
    """The source prompt takes the empty prompt's place: nothing is learned, and the source needs no guidance.

    Source: Miyake et al. 2023, arXiv 2305.16807.
    """

    method: Literal[InversionMethod.NEGATIVE_PROMPT] = InversionMethod.NEGATIVE_PROMPT


class ProximalSpec(Sampling):
    """The negative prompt, with small guidance dropped and the places where it was dropped held to the source.

    The default threshold is what the paper calls l0, the released code's is `published`. Correction is on at full
    strength, as in its published results; the released code's own defaults, none and 0.1, leave the image changed.
    Source: Han et al. 2023, arXiv 2306.05414.
    """

    method: Literal[InversionMethod.PROXIMAL] = InversionMethod.PROXIMAL
    threshold: Threshold = Field(Threshold.HARD, description="How guidance below the threshold is dropped.")
    quantile: Fraction = Field(
        0.7, description="Share of the target's guidance that is dropped, smallest first; 0 is negative_prompt."
    )
    correction: Correction = Field(Correction.INVERSION, description="What holds the places without guidance.")
    correction_strength: Fraction = Field(1.0, description="eta: how far they are pulled; 1 is all the way.")
    correction_window: Fraction = Field(0.4, description="They are pulled in this last share of the timesteps.")
    dilation: Annotated[int, Field(ge=0, le=8), NotBool] = Field(
        1, description="Latent pixels by which the places with guidance are widened."
    )


class DirectSpec(Sampling):
    """The source's path is the trace itself, so the image comes back as well as the autoencoder can give it.

    Source: Ju et al. 2023, arXiv 2310.01506.
    """

    method: Literal[InversionMethod.DIRECT] = InversionMethod.DIRECT


class EditFriendlySpec(Sampling):
    """Independent noise at every timestep, and the noise between them that gives the image back exactly.

    Defaults are PIE-Bench's. The authors' own, timesteps 100, guidance 15, source_guidance 3.5 and skip 0.36, take
    guidance for granted that not every model bears, and a source guided nearly as much as the target spoils the edit.
    Source: Huberman-Spiegelglas et al. 2023, arXiv 2304.06140.
    """

    method: Literal[InversionMethod.EDIT_FRIENDLY] = InversionMethod.EDIT_FRIENDLY
    source_guidance: Guidance = Field(1.0, description="Guidance scale of the source; `guidance` is the target's.")
    skip: Annotated[float, Field(ge=0.0, lt=1.0), NotBool] = Field(
        0.24, description="Share of the timesteps left out at the noisy end; more keeps more of the image."
    )

    @property
    def sampled(self) -> int:
        """The number of timesteps really taken."""
        return self.timesteps - int(self.skip * self.timesteps)


class Pix2PixZeroInversionSpec(Sampling):
    """DDIM inversion whose predicted noise is kept free of correlations and normally distributed.

    The source prompt is its own negative prompt, as published.
    Source: Parmar et al. 2023, arXiv 2302.03027, section 3.2.
    """

    method: Literal[InversionMethod.PIX2PIX_ZERO] = InversionMethod.PIX2PIX_ZERO
    guidance: Guidance = 5.0
    regularisation_steps: Annotated[int, Field(ge=0, le=50), NotBool] = Field(
        5, description="Rounds of regularisation at every timestep; 0 is the trace of ddim."
    )
    rolls: Annotated[int, Field(ge=1, le=50), NotBool] = Field(
        5, description="Descents on the autocorrelation in a round, each with other distances."
    )
    autocorrelation_weight: Annotated[float, Field(ge=0.0, le=100.0), NotBool] = Field(
        20.0, description="Rate of the rolls of one round together, for a latent of 64 x 64; scaled to other sizes."
    )
    divergence_weight: Annotated[float, Field(ge=0.0, le=100.0), NotBool] = Field(
        20.0, description="Rate of a round's descent on the divergence from a normal distribution; scaled likewise."
    )


_Any = (
    DdimSpec
    | StyleDiffusionSpec
    | ValueEmbeddingSpec
    | TextEmbeddingSpec
    | NullTextSpec
    | NegativePromptSpec
    | ProximalSpec
    | DirectSpec
    | EditFriendlySpec
    | Pix2PixZeroInversionSpec
)
InversionSpec = Annotated[_Any, Field(discriminator="method")]

_INVERSIONS: TypeAdapter[InversionSpec] = TypeAdapter(InversionSpec)
_FIELDS = {spec.model_fields["method"].default: set(spec.model_fields) for spec in get_args(_Any)}


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


def resolved_inversion(parameters: Mapping[str, Any]) -> InversionSpec:
    """The specification that a job keeps as JSON."""
    return resolve_inversion(InversionMethod(parameters["method"]), parameters, {})
