"""The one table every inversion method fills in: what feeds key, value and null branch at each timestep."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from core.diffusion.mapping import modulate
from core.diffusion.requests import Tensors
from core.domain.inversion_specs import Head, InversionSpec, NullTextSpec, StyleDiffusionSpec


class Inputs(NamedTuple):
    """Embeddings [tokens, width] for one text at one timestep."""

    key: Float[Tensor, "tokens width"]
    value: Float[Tensor, "tokens width"]
    null: Float[Tensor, "tokens width"]


@runtime_checkable
class Conditioning(Protocol):
    """What an inversion learned, as a function of the timestep's index and of the text it is given."""

    def at(self, index: int, text: Float[Tensor, "tokens width"]) -> Inputs:
        """Inputs at timestep `index` (0 is the noisiest)."""
        ...

    def tensors(self) -> Tensors:
        """All that must be kept to build it again with `load_conditioning`."""
        ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class PlainConditioning:
    """The text feeds keys and values; the empty prompt the unconditional branch (DDIM)."""

    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"]) -> Inputs:
        return Inputs(text, text, self.null)

    def tensors(self) -> Tensors:
        return {"null": self.null}


@final
@dataclass(frozen=True, slots=True, eq=False)
class ValueConditioning:
    """The text feeds the keys, a modulation of it the values (StyleDiffusion)."""

    head: Head
    modulations: Float[Tensor, "timesteps channels width"]
    null: Float[Tensor, "tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"]) -> Inputs:
        return Inputs(text, modulate(self.head, self.modulations[index], text), self.null)

    def tensors(self) -> Tensors:
        return {"modulations": self.modulations, "null": self.null}


@final
@dataclass(frozen=True, slots=True, eq=False)
class NullConditioning:
    """The text feeds keys and values, a learned embedding per timestep the unconditional branch (null-text)."""

    nulls: Float[Tensor, "timesteps tokens width"]

    def at(self, index: int, text: Float[Tensor, "tokens width"]) -> Inputs:
        return Inputs(text, text, self.nulls[index])

    def tensors(self) -> Tensors:
        return {"nulls": self.nulls}


def load_conditioning(spec: InversionSpec, tensors: Tensors) -> Conditioning:
    """The conditioning that `tensors()` described, for the method of `spec`."""
    match spec:
        case StyleDiffusionSpec():
            return ValueConditioning(spec.head, tensors["modulations"], tensors["null"])
        case NullTextSpec():
            return NullConditioning(tensors["nulls"])
        case _:
            return PlainConditioning(tensors["null"])
