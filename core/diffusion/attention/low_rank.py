"""Weights of their own for single rows: low-rank additions to the projections of attention.

Source: Hu et al. 2021, arXiv 2106.09685, with their factor alpha / rank left to the learning rate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.diffusion.attention.sites import Site


class Projection(StrEnum):
    """A linear layer of an attention layer."""

    QUERY = "query"
    KEY = "key"
    VALUE = "value"
    OUT = "out"


def projection_name(site: Site, projection: Projection) -> str:
    """What a projection is called among weights."""
    return f"{site.name}.{projection}"


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """W + up @ down in the rows given, for every projection that `weights` names.

    `weights` holds, for a projection by its `projection_name`, `<name>.down` [rank, in] and `<name>.up` [out, rank].
    """

    weights: Mapping[str, Tensor]
    rows: Int[Tensor, " m"]

    def to(self, device: torch.device, dtype: torch.dtype) -> "LowRank":
        """The same on a device, in the precision of the states it meets; gradients reach the tensors given."""
        return LowRank(
            {name: weight.to(device, dtype) for name, weight in self.weights.items()}, rows=self.rows.to(device)
        )

    def added(
        self, site: Site, projection: Projection, states: Float[Tensor, "n places width"]
    ) -> Float[Tensor, "m places out"] | None:
        """What these weights add to the projection in their rows."""
        name = projection_name(site, projection)
        if f"{name}.down" not in self.weights:
            return None
        return states[self.rows] @ self.weights[f"{name}.down"].mT @ self.weights[f"{name}.up"].mT


def add_low_rank(
    parts: Sequence[LowRank],
    site: Site,
    projection: Projection,
    *,
    states: Float[Tensor, "n places width"],
    projected: Float[Tensor, "n places out"],
) -> Float[Tensor, "n places out"]:
    """A projection with the additions of all rows that have some."""
    for part in parts:
        added = part.added(site, projection, states)
        if added is not None:
            projected = projected.index_add(0, part.rows, added)
    return projected


def fresh_weights(widths: Mapping[str, tuple[int, int]], rank: int, *, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights that add nothing yet: `down` is drawn, so that what it gives is as large as what it takes, `up` zero.

    Args:
        widths: width in and out of each projection, by name.
        rank: of every addition.
        generator: draws in single precision on the CPU, so that a seed means the same everywhere.
    """
    weights = {}
    for name, (taken, given) in widths.items():
        weights[f"{name}.down"] = torch.randn(rank, taken, generator=generator) / math.sqrt(taken)
        weights[f"{name}.up"] = torch.zeros(given, rank)
    return weights
