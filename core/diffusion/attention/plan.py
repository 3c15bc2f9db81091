"""A plan: the attention rules of an edit, read from top to bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.blend import BlendRule
from core.diffusion.attention.control import Carry
from core.diffusion.attention.division import Division


class Branch(StrEnum):
    """The two branches of classifier-free guidance."""

    CONDITIONAL = "conditional"
    UNCONDITIONAL = "unconditional"


@final
@dataclass(frozen=True, slots=True, eq=False)
class KeepLayout:
    """The target's self-attention takes the source's query and key, and so its map."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class ShareContent:
    """The target's self-attention takes the source's key and value, and so shows what the source shows."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class CarryWords:
    """The target's cross-attention takes over the source's, token by token.

    `matrix` and `kept` are the alignment, `factors` multiply a token's attention, and token t takes part before
    timestep `stops[t]`.
    """

    matrix: Float[Tensor, "tokens tokens"]
    kept: Float[Tensor, " tokens"]
    factors: Float[Tensor, " tokens"]
    stops: tuple[int, ...]

    def window(self, index: int) -> Float[Tensor, " tokens"]:
        """1 for the tokens whose window is open at timestep `index`."""
        return torch.tensor([float(index < stop) for stop in self.stops], dtype=self.factors.dtype)

    def carry(self, index: int, *, row: int, source: int) -> Carry:
        """The index-and-matrix form at timestep `index` for one target row."""
        window = self.window(index)
        taken = window * self.factors
        return Carry(
            rows=torch.tensor([row]),
            sources=torch.tensor([source]),
            from_source=(self.matrix * (taken * self.kept))[None],
            own=(taken * (1 - self.kept) + (1 - window))[None],
        )


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """Where, until when, and what: acts on one branch from timestep `first` on and before timestep `stop`."""

    where: Branch
    stop: int
    what: KeepLayout | ShareContent | CarryWords
    first: int = 0

    def acts(self, index: int) -> bool:
        """Whether the rule is in force at timestep `index`."""
        return self.first <= index < self.stop


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """Rules and, perhaps, a region outside which nothing changes; `division` tells object from surroundings."""

    rules: tuple[Rule, ...] = ()
    blend: BlendRule | None = None
    division: Division | None = None

    @property
    def reads_words(self) -> bool:
        """Whether the word maps of every timestep are needed."""
        return self.blend is not None or self.division is not None

    def sources(self, index: int) -> Sequence[Branch]:
        """The branches on which the source has to be evaluated at timestep `index`.

        Elsewhere its stored path is enough. Local blend reads the source's maps at every timestep.
        """
        needed = {rule.where for rule in self.active(index)}
        if self.blend is not None:
            needed.add(Branch.CONDITIONAL)
        return [branch for branch in Branch if branch in needed]

    def active(self, index: int) -> Sequence[Rule]:
        """The rules in force at timestep `index`."""
        return [rule for rule in self.rules if rule.acts(index)]

    def describe(self) -> dict[str, Any]:
        """The plan as a caller reads it: each rule's branch, what it does, its first timestep and where it stops."""
        return {
            "rules": [
                {
                    "branch": rule.where.value,
                    "what": _NAMES[type(rule.what)],
                    "first": rule.first,
                    "stop": rule.stop,
                }
                for rule in self.rules
            ],
            "blend": None if self.blend is None else {"first": self.blend.first, "threshold": self.blend.threshold},
            "division": None if self.division is None else {"threshold": self.division.threshold},
        }


_NAMES = {KeepLayout: "self_attention", ShareContent: "content", CarryWords: "cross_attention"}
