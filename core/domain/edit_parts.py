"""What the parameters of edit methods are made of."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from core.domain.specs import Fraction, NotBool, Spec

Word = Annotated[str, Field(min_length=1, max_length=64)]
Words = Annotated[tuple[Word, ...], Field(max_length=16)]
# No tokenizer reads a longer one, and PostgreSQL keeps every character but U+0000.
Sentence = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Sentences = Annotated[tuple[Sentence, ...], Field(max_length=256)]
Phrase = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Rate = Annotated[float, Field(gt=0.0, le=0.1), NotBool]
ImageId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]


class EditMethod(StrEnum):
    """How a target prompt is sampled from an inversion."""

    WORD_SWAP = "word_swap"
    P2P = "p2p"
    P2PLUS = "p2plus"
    SDEDIT = "sdedit"
    MASACTRL = "masactrl"
    IMAGIC = "imagic"
    PLUG_AND_PLAY = "plug_and_play"
    STYLE_TRANSFER = "style_transfer"
    PIX2PIX_ZERO = "pix2pix_zero"


class CrossRule(StrEnum):
    """How source attention maps are carried to the target's tokens.

    `replace` needs prompts with the same number of words, `refine` aligns any two, `auto` takes `replace` where it
    can.
    """

    AUTO = "auto"
    REPLACE = "replace"
    REFINE = "refine"


class Region(Spec):
    """The part of the picture where an edit may act: a caller's mask, or where words of the source prompt act.

    Everything else follows the inversion's own path. Source: Avrahami et al. 2022, arXiv 2206.02779.
    """

    image_id: ImageId | None = Field(
        None, description="An image of POST /images, of the picture's own size: white where the edit may act."
    )
    words: Words = Field((), description="Words of the source prompt, instead of an image.")
    keep: bool = Field(False, description="The region is what must stay; the edit acts everywhere else.")
    threshold: Fraction = Field(0.3, description="Share of a word map's maximum above which a place belongs to it.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.image_id is None) == (not self.words):
            raise ValueError("must have exactly one of `image_id` and `words`")
        return self


class Regional(Spec):
    """An edit that can be held to a region."""

    region: Region | None = Field(None, description="Where the edit may act; left out: everywhere.")

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The pictures that the parameters name."""
        return () if self.region is None or self.region.image_id is None else (self.region.image_id,)

    def sentences(self, source: str, target: str) -> Mapping[str, str]:
        """What has to be encoded besides the two prompts, by the path of each sentence below the parameters."""
        return {}


class Swap(Regional):
    """What every edit has that samples the target prompt with what an inversion learned."""

    value_window: Fraction = Field(
        0.5, description="tau_v: the target uses learned value inputs in the first tau_v * T timesteps."
    )


class Blend(Spec):
    """Only the region where these words act may change.

    Source: Hertz et al. 2022, arXiv 2208.01626, "local blend".
    """

    source_words: tuple[Word, ...] = Field(..., min_length=1, max_length=16, description="Words of the source prompt.")
    target_words: tuple[Word, ...] = Field(..., min_length=1, max_length=16, description="Words of the target prompt.")
    keep_words: tuple[Word, ...] = Field((), max_length=16, description="Words (of either prompt) that stay untouched.")
    threshold: Fraction = Field(0.3, description="Share of a map's maximum above which a place belongs to the region.")
    start: Fraction = Field(0.2, description="Share of the timesteps after which blending begins.")


class MaskAware(Spec):
    """The object takes its look from the object, its surroundings from the surroundings.

    Source: Cao et al. 2023, arXiv 2304.08465, section 3.3.
    """

    source_words: tuple[Word, ...] = Field(
        ..., min_length=1, max_length=16, description="What the object is called in the source prompt."
    )
    target_words: tuple[Word, ...] = Field(
        ..., min_length=1, max_length=16, description="What it is called in the target prompt."
    )
    threshold: Fraction = Field(
        0.1, description="Share of a word map's range, least to most, from which on a place belongs to the object."
    )
