"""Rows of self-attention that take their query, key or value from other rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.diffusion.attention.sites import SitePredicate


@final
@dataclass(frozen=True, slots=True, eq=False)
class Reroute:
    """In the layers that `where` accepts, row r uses the query of row `query[r]`, and so on.

    The layout of a picture follows query and key (Prompt-to-Prompt, plug-and-play), its content key and value
    (MasaCtrl).
    """

    where: SitePredicate
    query: Int[Tensor, " n"]
    key: Int[Tensor, " n"]
    value: Int[Tensor, " n"]

    @classmethod
    def of_layout(cls, where: SitePredicate, rows: Int[Tensor, " n"]) -> "Reroute":
        """Row r takes the attention map of row `rows[r]`."""
        return cls(where, query=rows, key=rows, value=torch.arange(len(rows)))

    @classmethod
    def of_content(cls, where: SitePredicate, rows: Int[Tensor, " n"]) -> "Reroute":
        """Row r looks with its own query at what row `rows[r]` shows."""
        return cls(where, query=torch.arange(len(rows)), key=rows, value=rows)

    def to(self, device: torch.device) -> "Reroute":
        """The same on a device."""
        return Reroute(self.where, query=self.query.to(device), key=self.key.to(device), value=self.value.to(device))

    def after(self, places: Int[Tensor, " m"], theirs: "Reroute") -> "Reroute":
        """This one, and in the rows at `places` another that counts them from nought."""
        joined = []
        for own, added in ((self.query, theirs.query), (self.key, theirs.key), (self.value, theirs.value)):
            rows = own.clone()
            rows[places] = own[places][added]
            joined.append(rows)
        query, key, value = joined
        return Reroute(self.where, query=query, key=key, value=value)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows whose places inside a region look only at what lies inside another, and those outside only outside.

    `looks` are the rows' own regions and `seen` those of the rows that their keys come from, on any square grid.
    An empty region divides nothing, and where nothing is seen on one side, all is.

    Source: Cao et al. 2023, arXiv 2304.08465, section 3.3.
    """

    where: SitePredicate
    rows: Int[Tensor, " m"]
    looks: Bool[Tensor, "m side side"]
    seen: Bool[Tensor, "m side side"]

    def to(self, device: torch.device) -> "Split":
        """The same on a device."""
        return Split(self.where, rows=self.rows.to(device), looks=self.looks.to(device), seen=self.seen.to(device))

    def attend(
        self,
        query: Float[Tensor, "n heads places d"],
        *,
        key: Float[Tensor, "n heads places d"],
        value: Float[Tensor, "n heads places d"],
    ) -> Float[Tensor, "m heads places d"]:
        """What the rows see."""
        side = int(query.shape[2] ** 0.5)
        looks, seen = (_on_grid(region, side) for region in (self.looks, self.seen))
        query, key, value = query[self.rows], key[self.rows], value[self.rows]
        divided = looks.any(-1) & seen.any(-1)
        allowed = (looks[:, :, None] == seen[:, None, :]) | ~divided[:, None, None]
        allowed = allowed | ~allowed.any(-1, keepdim=True)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, None])


def join_reroutes(groups: Sequence[tuple[Int[Tensor, " _"], Sequence[Reroute]]], total: int) -> tuple[Reroute, ...]:
    """Those of row groups, each with the call's numbers of its rows, for a call of `total` rows.

    One is left for each set of layers; they act in the order in which they first come.
    """
    joined: dict[SitePredicate, Reroute] = {}
    for places, reroutes in groups:
        for reroute in reroutes:
            own = torch.arange(total)
            before = joined.get(reroute.where) or Reroute(reroute.where, query=own, key=own, value=own)
            joined[reroute.where] = before.after(places, reroute)
    return tuple(joined.values())


def _on_grid(regions: Bool[Tensor, "m side side"], side: int) -> Bool[Tensor, "m places"]:
    return F.interpolate(regions[:, None].float(), size=(side, side))[:, 0].flatten(1) > 0.5
