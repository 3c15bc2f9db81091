"""The one table every inversion method fills in: what feeds key, value and null branch at each timestep."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, final, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from core.diffusion.mapping import modulate
from core.diffusion.requests import Tensors
from core.domain.inversion_parts import Feeds, Head
from core.domain.inversion_specs import (
    EditFriendlySpec,
    InversionSpec,
    NullTextSpec,
    StyleDiffusionSpec,
    TextEmbeddingSpec,
    ValueEmbeddingSpec,
)


class Role(StrEnum):
    """What a row is sampled for: the image as it is, or an edit of it."""

    SOURCE = "source"
    TARGET = "target"


class Inputs(NamedTuple):
    """Embeddings [tokens, width] for one text at one timestep, and the noise the step adds where it adds any."""

    key: Float[Tensor, "tokens width"]
    value: Float[Tensor, "tokens width"]
    null: Float[Tensor, "tokens width"]
    noise: Float[Tensor, "c h w"] | None = None


@runtime_checkable
class Conditioning(Protocol):
    """What an inversion learned, as a function of the timestep's index, the text it is given, and the row's role."""

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        """Inputs at timestep `index`, counted from where the path starts."""
        ...

    def tensors(self) -> Tensors:
        """All that must be kept to build it again with `load_conditioning`."""
        ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class PlainConditioning:
    """The text feeds keys and values, one embedding the unconditional branch.

    That is the empty prompt's (DDIM, direct) or the source prompt's (negative prompt, proximal).
    """

    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        return Inputs(text, text, self.null)

    def tensors(self) -> Tensors:
        return {"null": self.null}


@final
@dataclass(frozen=True, slots=True, eq=False)
class ModulatedConditioning:
    """A modulation of the text feeds values, keys or both; the others take the text (StyleDiffusion).

    With the head `replace` the modulation is an embedding whatever the text (value embedding).
    """

    head: Head
    feeds: Feeds
    modulations: Float[Tensor, "timesteps channels width"]
    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        key, value = feed(self.feeds, text, modulate(self.head, self.modulations[index], text))
        return Inputs(key, value, self.null)

    def tensors(self) -> Tensors:
        return {"modulations": self.modulations, "null": self.null}


@final
@dataclass(frozen=True, slots=True, eq=False)
class SourceConditioning:
    """A learned embedding per timestep feeds keys and values of the source; a target keeps its text (text embedding).

    It stands for the source prompt, so it would say nothing about another text.
    """

    texts: Float[Tensor, "timesteps tokens width"]
    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        fed = self.texts[index] if role is Role.SOURCE else text
        return Inputs(fed, fed, self.null)

    def tensors(self) -> Tensors:
        return {"texts": self.texts, "null": self.null}


@final
@dataclass(frozen=True, slots=True, eq=False)
class NullConditioning:
    """The text feeds keys and values, a learned embedding per timestep the unconditional branch (null-text)."""

    nulls: Float[Tensor, "timesteps tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        return Inputs(text, text, self.nulls[index])

    def tensors(self) -> Tensors:
        return {"nulls": self.nulls}


@final
@dataclass(frozen=True, slots=True, eq=False)
class NoiseConditioning:
    """The text feeds keys and values, and each timestep adds noise of its own (edit-friendly DDPM)."""

    noises: Float[Tensor, "timesteps c h w"]
    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"], role: Role) -> Inputs:
        return Inputs(text, text, self.null, self.noises[index])

    def tensors(self) -> Tensors:
        return {"noises": self.noises, "null": self.null}


def feed(
    feeds: Feeds, text: Float[Tensor, "tokens width"], learned: Float[Tensor, "tokens width"]
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]:
    """Key and value input of a text, one of them or both replaced by what was learned."""
    return (text if feeds is Feeds.VALUE else learned), (text if feeds is Feeds.KEY else learned)


def load_conditioning(spec: InversionSpec, tensors: Tensors) -> Conditioning:
    """The conditioning that `tensors()` described, for the method of `spec`."""
    match spec:
        case StyleDiffusionSpec():
            return ModulatedConditioning(spec.head, spec.feeds, tensors["modulations"], tensors["null"])
        case ValueEmbeddingSpec():
            return ModulatedConditioning(Head.REPLACE, Feeds.VALUE, tensors["modulations"], tensors["null"])
        case TextEmbeddingSpec():
            return SourceConditioning(tensors["texts"], tensors["null"])
        case NullTextSpec():
            return NullConditioning(tensors["nulls"])
        case EditFriendlySpec():
            return NoiseConditioning(tensors["noises"], tensors["null"])
        case _:
            return PlainConditioning(tensors["null"])
