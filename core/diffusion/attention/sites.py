"""Attention layers by what they are, never by their position in a list."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
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
    latent itself, `word_side` that of the grid on which this model's word maps are read. `order` counts the layers of
    the same kind and place, from 0.
    """

    name: str
    kind: Kind
    place: Place
    side: int
    full_side: int
    word_side: int = 0
    order: int = 0


SitePredicate = Callable[[Site], bool]


def parse_sites(names: Iterable[str], *, levels: int, full_side: int) -> dict[str, Site]:
    """Reads diffusers' processor names, such as `up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor`.

    Args:
        names: the keys of `unet.attn_processors`, all of them.
        levels: number of down blocks; each but the last halves the grid.
        full_side: side of the latent.
    """
    sites, counts = {}, Counter[tuple[Kind, Place]]()
    for name in names:
        site = _parse(name, levels=levels, full_side=full_side)
        sites[name] = replace(site, order=counts[site.kind, site.place])
        counts[site.kind, site.place] += 1
    sides = {site.side for site in sites.values() if _may_carry_words(site)}
    nearest = min(sides, key=lambda side: abs(side - 16), default=0)
    return {name: replace(site, word_side=nearest) for name, site in sites.items()}


def _parse(name: str, *, levels: int, full_side: int) -> Site:
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

    Relative to the model: cross-attention in the down and up blocks on the grid nearest to 16 on a side, of those that
    have any (at 768 pixels that is 24: the blocks on 12 have no attention). Used by the attention loss, local blend
    and heat maps.
    """
    return _may_carry_words(site) and site.side == site.word_side


def carries_layout(site: Site) -> bool:
    """Where self-attention is injected: the papers' "32x32 and below at 512 pixels".

    Relative to the latent: every self-attention layer on a grid of at most half the latent's side.
    """
    return site.kind is Kind.SELF and 2 * site.side <= site.full_side


def carries_content(site: Site) -> bool:
    """Where MasaCtrl shares keys and values: the decoder's self-attention on its two finest grids.

    The published "from layer 10 on" of Stable Diffusion 1's sixteen.
    """
    return site.kind is Kind.SELF and site.place is Place.UP and 2 * site.side >= site.full_side


def carries_structure(site: Site) -> bool:
    """Where plug-and-play injects queries and keys: the decoder's self-attention but its first layer.

    The published "decoder layers 4 to 11".
    """
    return site.kind is Kind.SELF and site.place is Place.UP and site.order > 0


def reads_words(site: Site) -> bool:
    """Every cross-attention layer."""
    return site.kind is Kind.CROSS


def _may_carry_words(site: Site) -> bool:
    return site.kind is Kind.CROSS and site.place is not Place.MID
