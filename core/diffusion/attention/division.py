"""Mask-aware sharing of content: the object looks at the object, its surroundings at the surroundings.

Source: Cao et al. 2023, arXiv 2304.08465, section 3.3.
"""

from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.diffusion.attention.reroute import Split
from core.diffusion.attention.sites import carries_content


@final
@dataclass(frozen=True, slots=True)
class Division:
    """Which tokens are the object, as positions in either prompt; `threshold` is a share of a map's range."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    threshold: float


@final
@dataclass(slots=True)
class Objects:
    """Where the object is in the source, and in the target by its word maps of the timesteps so far.

    The published code reads the maps of the layers before it in the same call; those of the timesteps before it are
    known when a call is made, and are fewer only at the first.
    """

    rule: Division
    source: Bool[Tensor, "side side"]
    _seen: Tensor = field(default_factory=lambda: torch.zeros(()))  # from the first `add` on [pixels]

    @classmethod
    def of(cls, rule: Division, word_maps: Float[Tensor, "pixels tokens"]) -> "Objects":
        """Begins with the source's mean word maps."""
        return cls(rule, stands_out(word_maps[:, list(rule.source)].sum(-1), rule.threshold))

    def add(self, word_maps: Float[Tensor, "pixels tokens"]) -> None:
        """Adds one timestep's mean maps of the target."""
        self._seen = self._seen + word_maps[:, list(self.rule.target)].sum(-1)

    def tensors(self) -> dict[str, Tensor]:
        """What has been added, for a checkpoint."""
        return {"object.seen": self._seen}

    def load(self, state: dict[str, Tensor]) -> None:
        """Goes on from what `tensors` gave."""
        self._seen = state["object.seen"]

    def split(self, rows: Int[Tensor, " m"]) -> Split | None:
        """What the target's rows may look at; None before any map of the target is seen."""
        if self._seen.ndim == 0:
            return None
        target = stands_out(self._seen, self.rule.threshold)
        looks, seen = (region.expand(len(rows), *region.shape) for region in (target, self.source))
        return Split(carries_content, rows=rows, looks=looks, seen=seen)


def stands_out(word_map: Float[Tensor, " pixels"], threshold: float) -> Bool[Tensor, "side side"]:
    """Where a map, its range stretched from 0 to 1, reaches the threshold; nowhere in a constant one.

    The published code divides by the range, which is 0 there.
    """
    side = int(len(word_map) ** 0.5)
    above, reach = word_map - word_map.min(), word_map.max() - word_map.min()
    return ((above >= threshold * reach) & (reach > 0)).view(side, side)
