"""What one UNet call does differently in its attention layers, as a few index and matrix tensors.

Attention is linear in its values, so each edit of the Prompt-to-Prompt family is plain attention with other operands:
no map is built except where one is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from core.diffusion.attention.low_rank import LowRank
from core.diffusion.attention.maps import attention_maps
from core.diffusion.attention.reroute import Reroute, Split
from core.diffusion.attention.sites import Kind, Site, SitePredicate


@final
@dataclass(frozen=True, slots=True, eq=False)
class Carry:
    """Rows whose cross-attention comes, in part, from other rows.

    A_row := A_source @ from_source + A_row * own. `from_source` is M diag(w f k) and `own` is w f (1 - k) + (1 - w) in
    the terms of `maps.carry`.
    """

    rows: Int[Tensor, " m"]
    sources: Int[Tensor, " m"]
    from_source: Float[Tensor, "m tokens tokens"]
    own: Float[Tensor, "m tokens"]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Carry":
        """The same on a device, its matrices in the precision of the values they meet."""
        return Carry(
            self.rows.to(device),
            self.sources.to(device),
            from_source=self.from_source.to(device, dtype),
            own=self.own.to(device, dtype),
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """Everything that reaches the layers of one call, its row numbers those of the call.

    `values` replaces the text as input of the value layers. `reroutes` act in self-attention one after the other, then
    `splits`. Row r takes the decoder's features from row `features[r]`. Maps of the sites that `record` accepts are
    left in `maps` [rows, heads, pixels, tokens], after editing.
    """

    values: Float[Tensor, "n tokens width"] | None = None
    reroutes: tuple[Reroute, ...] = ()
    splits: tuple[Split, ...] = ()
    carry: Carry | None = None
    features: Int[Tensor, " n"] | None = None
    low_rank: tuple[LowRank, ...] = ()
    record: SitePredicate | None = None
    maps: dict[Site, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Control":
        """The same on a device and in a precision; maps are still left in this one's `maps`."""
        return replace(
            self,
            values=None if self.values is None else self.values.to(device, dtype),
            reroutes=tuple(reroute.to(device) for reroute in self.reroutes),
            splits=tuple(split.to(device) for split in self.splits),
            carry=None if self.carry is None else self.carry.to(device, dtype),
            features=None if self.features is None else self.features.to(device),
            low_rank=tuple(part.to(device, dtype) for part in self.low_rank),
        )

    def attend(
        self,
        site: Site,
        query: Float[Tensor, "n heads pixels d"],
        *,
        key: Float[Tensor, "n heads places d"],
        value: Float[Tensor, "n heads places d"],
    ) -> Float[Tensor, "n heads pixels d"]:
        """The layer's output under this control."""
        for reroute in self.reroutes:
            if reroute.where(site):
                query, key, value = query[reroute.query], key[reroute.key], value[reroute.value]
        carry = self.carry if site.kind is Kind.CROSS else None
        if self.record is not None and self.record(site):
            return self._attend_and_record(site, query, key=key, value=value, carry=carry)
        out = F.scaled_dot_product_attention(query, key, value)
        for split in self.splits:
            if split.where(site):
                out = out.index_copy(0, split.rows, split.attend(query, key=key, value=value))
        if carry is None:
            return out
        source, rows = carry.sources, carry.rows
        carried = F.scaled_dot_product_attention(query[source], key[source], carry.from_source[:, None] @ value[rows])
        kept = F.scaled_dot_product_attention(query[rows], key[rows], carry.own[:, None, :, None] * value[rows])
        return out.index_copy(0, rows, carried + kept)

    def _attend_and_record(
        self, site: Site, query: Tensor, *, key: Tensor, value: Tensor, carry: Carry | None
    ) -> Tensor:
        maps = attention_maps(query, key)
        if carry is not None:
            edited = maps[carry.sources] @ carry.from_source[:, None] + maps[carry.rows] * carry.own[:, None, None]
            maps = maps.index_copy(0, carry.rows, edited)
        self.maps[site] = maps
        return maps @ value


def join_carries(parts: Sequence[tuple[Int[Tensor, " _"], Carry]]) -> Carry | None:
    """One carry for a call out of those of its row groups, each with the call's numbers of its rows."""
    if not parts:
        return None
    return Carry(
        rows=torch.cat([places[carry.rows] for places, carry in parts]),
        sources=torch.cat([places[carry.sources] for places, carry in parts]),
        from_source=torch.cat([carry.from_source for _, carry in parts]),
        own=torch.cat([carry.own for _, carry in parts]),
    )
