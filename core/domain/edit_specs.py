"""The parameters of every edit method."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from core.domain.directions import find_change
from core.domain.edit_parts import (
    Blend,
    CrossRule,
    EditMethod,
    ImageId,
    MaskAware,
    Phrase,
    Rate,
    Regional,
    Sentence,
    Sentences,
    Swap,
    Word,
)
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


class Lending(Swap):
    """What the edits have in common that take a picture's layout from inside the UNet."""

    feature_window: Fraction = Field(
        0.8, description="The decoder's features are the other picture's for this share of timesteps."
    )
    self_window: Fraction = Field(
        0.5, description="Self-attention in the decoder is the other picture's for this share of timesteps."
    )
    negative_prompt: Sentence = Field(
        "",
        description="What guidance leads away from, instead of the inversion's own unconditional embedding; published: "
        '"ugly, blurry, black, low res, unrealistic".',
    )

    def sentences(self, source: str, target: str) -> Mapping[str, str]:
        """The negative prompt, where there is one."""
        return {"negative_prompt": self.negative_prompt} if self.negative_prompt else {}


class PlugAndPlaySpec(Lending):
    """The target prompt is sampled with the features and the self-attention of the source.

    Source: Tumanyan et al. 2022, arXiv 2211.12572.
    """

    method: Literal[EditMethod.PLUG_AND_PLAY] = EditMethod.PLUG_AND_PLAY


class StyleTransferSpec(Lending):
    """A second picture, the content, is sampled with the values that were learned from the inversion's, the style.

    The target prompt says what the result shows. Source: Li et al. 2023, arXiv 2303.15649, section 5.2, which tells no
    layers or timesteps: these are plug-and-play's.
    """

    method: Literal[EditMethod.STYLE_TRANSFER] = EditMethod.STYLE_TRANSFER
    content_image_id: ImageId = Field(..., description="An image of POST /images: the content. The result is its size.")
    content_prompt: Sentence = Field("", description="What the content shows; it is inverted with this sentence.")
    region: None = Field(None, description="The whole of the content takes the style.")

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The content."""
        return (self.content_image_id,)

    def sentences(self, source: str, target: str) -> Mapping[str, str]:
        """The content's, and the negative prompt where there is one."""
        return {"content_prompt": self.content_prompt, **super().sentences(source, target)}


class ImagicSpec(Regional):
    """The target's text and low-rank weights are fitted to the picture; the edit is sampled between text and target.

    Of the inversion it takes the picture, the timesteps and the guidance. Source: Kawar et al. 2022, arXiv 2210.09276.
    Published are 500 steps on the text at 1e-3 and 1000 on all weights of the UNet at 2e-6. Low-rank weights start at
    nothing and are few, so each has to go further. Where the text is fitted too little the weights must turn the
    target's words into the picture, and no interpolation brings the target back: hence its higher rate. The defaults
    are a fifth of the published steps and were chosen on the drawn world.
    """

    method: Literal[EditMethod.IMAGIC] = EditMethod.IMAGIC
    embedding_steps: Annotated[int, Field(ge=0, le=2000), NotBool] = Field(
        150, description="Optimiser steps on the text embedding; 0 keeps the target's."
    )
    embedding_rate: Rate = Field(1e-2, description="Adam's rate for the text embedding.")
    weight_steps: Annotated[int, Field(ge=0, le=4000), NotBool] = Field(
        150, description="Optimiser steps on the low-rank weights; 0 keeps the model as it is."
    )
    weight_rate: Rate = Field(1e-3, description="Adam's rate for the low-rank weights.")
    rank: Annotated[int, Field(ge=1, le=32), NotBool] = Field(4, description="Rank of the weights, in every layer.")
    interpolation: Annotated[float, Field(ge=0.0, le=2.0), NotBool] = Field(
        1.2, description="alpha: the text is alpha * target + (1 - alpha) * fitted; 0 is the picture, 1 the target."
    )


class MasaCtrlSpec(Swap):
    """The target looks with its own queries at what the source shows, and so may change pose or shape, not looks.

    In the decoder's self-attention on its two finest grids, on both branches of guidance. Source: Cao et al. 2023,
    arXiv 2304.08465.
    """

    method: Literal[EditMethod.MASACTRL] = EditMethod.MASACTRL
    start: Annotated[int, Field(ge=0, le=200), NotBool] = Field(
        4, description="S: the first timestep, counted from 0, at which the source is looked at."
    )
    mask_aware: MaskAware | None = Field(
        None, description="Keep object and surroundings apart; left out: all of the target looks at all of the source."
    )


class Pix2PixZeroSpec(Swap):
    """The source's embedding moved along a direction, its attention held by a gradient to the latent.

    The direction leads from the mean embedding of sentences about the source to that of sentences about the target.
    Source: Parmar et al. 2023, arXiv 2302.03027, sections 3.1 and 3.3.
    """

    method: Literal[EditMethod.PIX2PIX_ZERO] = EditMethod.PIX2PIX_ZERO
    source_phrase: Phrase | None = Field(
        None, description="What becomes something else; left out: the words of the source prompt that differ."
    )
    target_phrase: Phrase | None = Field(
        None, description="What it becomes; left out: the words of the target prompt that differ."
    )
    source_sentences: Sentences = Field(
        (), description="Sentences about the source; left out: the source prompt and others that begin like it."
    )
    target_sentences: Sentences = Field(
        (), description="Sentences about the target; left out: the same with target_phrase."
    )
    guidance_rate: Annotated[float, Field(ge=0.0, le=10.0), NotBool] = Field(
        0.05, description="How far each timestep's gradient draws the latent to the source's attention; 0: not at all."
    )

    def sentences(self, source: str, target: str) -> Mapping[str, str]:
        change = find_change(source, target, source_phrase=self.source_phrase, target_phrase=self.target_phrase)
        named = {
            "source_sentences": self.source_sentences or change.sentences(change.source),
            "target_sentences": self.target_sentences or change.sentences(change.target),
        }
        return {f"{name}/{n}": text for name, texts in named.items() for n, text in enumerate(texts)}


_Any = (
    WordSwapSpec
    | P2pSpec
    | P2PlusSpec
    | SdEditSpec
    | MasaCtrlSpec
    | PlugAndPlaySpec
    | StyleTransferSpec
    | ImagicSpec
    | Pix2PixZeroSpec
)
EditSpec = Annotated[_Any, Field(discriminator="method")]

_EDITS: TypeAdapter[EditSpec] = TypeAdapter(EditSpec)


def resolve_edit(method: EditMethod, given: Mapping[str, Any]) -> EditSpec:
    """An edit's complete parameters: given over the method's defaults.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    return validate(_EDITS, {**given, "method": method}, what=method)
