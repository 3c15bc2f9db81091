"""Attention layers by what they are, never by their position in a list."""

from dataclasses import dataclass
from enum import StrEnum
from typing import final


class Kind(StrEnum):
    """What a layer attends to."""

    SELF = "self"
    CROSS = "cross"


class Place(StrEnum):
    """The part of the UNet a layer lies in."""

    DOWN = "down"
    MID = "mid"
    UP = "up"


@final
@dataclass(frozen=True, slots=True)
class Site:
    """One attention layer: its module name, kind, part of the UNet, and grid.

    `side` is the number of places on one side of its grid at the model's own latent size, `full_side` that of the
    latent itself.
    """

    name: str
    kind: Kind
    place: Place
    side: int
    full_side: int


def parse_site(name: str, *, levels: int, full_side: int) -> Site:
    """Reads a diffusers processor name such as `up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor`.

    Args:
        name: key of `unet.attn_processors`.
        levels: number of down blocks; each but the last halves the grid.
        full_side: side of the latent.
    """
    parts = name.split(".")
    place = {"down_blocks": Place.DOWN, "mid_block": Place.MID, "up_blocks": Place.UP}[parts[0]]
    level = {
        Place.DOWN: lambda: int(parts[1]),
        Place.MID: lambda: levels - 1,
        Place.UP: lambda: levels - 1 - int(parts[1]),
    }[place]()
    kind = Kind.CROSS if "attn2" in parts else Kind.SELF
    return Site(name, kind, place, side=full_side // 2**level, full_side=full_side)


def carries_words(site: Site) -> bool:
    """The maps that say where each word acts: the papers' "16x16 maps of the down and up blocks".

    Relative to the latent: cross-attention in the down and up blocks on the grid nearest to 16 on a side, of all the
    grids the model has. Used by the attention loss, local blend and heat maps.
    """
    sides = [site.full_side // 2**level for level in range(8) if site.full_side >= 2**level]
    nearest = min(sides, key=lambda side: abs(side - 16))
    return site.kind is Kind.CROSS and site.place is not Place.MID and site.side == nearest


def carries_layout(site: Site) -> bool:
    """Where self-attention is injected: the papers' "32x32 and below at 512 pixels".

    Relative to the latent: every self-attention layer on a grid of at most half the latent's side.
    """
    return site.kind is Kind.SELF and 2 * site.side <= site.full_side
