"""Weights of their own for single rows: low-rank additions to the projections of attention.

Source: Hu et al. 2021, arXiv 2106.09685.
"""

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


@final
@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """W + up @ down in the rows given, for every projection that `weights` names.

    `weights` holds, for a site's projection, `<site name>.<projection>.down` [rank, in] and `.up` [out, rank].
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
        name = f"{site.name}.{projection}"
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
