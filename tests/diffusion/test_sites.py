"""Which layers are read and edited, on the UNets of Stable Diffusion 1.5, 2.1 at 768 pixels, and the pocket model."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from core.diffusion.attention.sites import (
    Kind,
    Place,
    Site,
    carries_content,
    carries_layout,
    carries_structure,
    carries_words,
    parse_sites,
)
from core.pocket.weights import model_path

_POCKET = json.loads((model_path() / "unet" / "config.json").read_text())
_TINY: dict[str, Any] = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "cross_attention_dim": 8}


def _sites(side: int, config: dict[str, Any]) -> list[Site]:
    """The sites of a UNet that is never filled with numbers; widths do not change its names."""
    make: Callable[..., Any] = UNet2DConditionModel
    with torch.device("meta"):
        unet = make(**{**config, "sample_size": side})
    return list(parse_sites(unet.attn_processors, levels=len(config["block_out_channels"]), full_side=side).values())


def _count(sites: list[Site]) -> dict[tuple[Place, int], int]:
    return dict(Counter((site.place, site.side) for site in sites))


def test_stable_diffusion_1_has_the_sixteen_published_layers_of_each_kind() -> None:
    sites = _sites(64, _TINY)

    for kind in Kind:
        assert _count([site for site in sites if site.kind is kind]) == {
            (Place.DOWN, 64): 2,
            (Place.DOWN, 32): 2,
            (Place.DOWN, 16): 2,
            (Place.MID, 8): 1,
            (Place.UP, 16): 3,
            (Place.UP, 32): 3,
            (Place.UP, 64): 3,
        }


def test_words_are_read_on_the_five_published_layers() -> None:
    sites = [site for site in _sites(64, _TINY) if carries_words(site)]

    assert _count(sites) == {(Place.DOWN, 16): 2, (Place.UP, 16): 3}
    assert {site.kind for site in sites} == {Kind.CROSS}


def test_layout_is_carried_up_to_32_places_a_side_at_512_pixels() -> None:
    sites = [site for site in _sites(64, _TINY) if carries_layout(site)]

    assert {site.side for site in sites} == {8, 16, 32}
    assert {site.kind for site in sites} == {Kind.SELF}
    assert len(sites) == 11


def test_plug_and_play_reads_the_published_decoder_layers_4_to_11() -> None:
    found = [site.name.split(".") for site in _sites(64, _TINY) if carries_structure(site)]

    layers = {1: (1, 2), 2: (0, 1, 2), 3: (0, 1, 2)}
    assert {"attn1" in name for name in found} == {True}
    assert [(name[0], int(name[1]), int(name[3])) for name in found] == [
        ("up_blocks", block, layer) for block, own in layers.items() for layer in own
    ]


def test_content_is_shared_from_the_published_layer_on() -> None:
    """From layer 10 of the sixteen of Stable Diffusion 1, counted from 0: down 0 to 5, mid 6, up 7 to 15."""
    sites = [site for site in _sites(64, _TINY) if site.kind is Kind.SELF]
    in_order = [site for place in Place for site in sites if site.place is place]

    assert [carries_content(site) for site in in_order] == [False] * 10 + [True] * 6
    assert not any(carries_content(site) for site in _sites(64, _TINY) if site.kind is Kind.CROSS)


def test_at_768_pixels_words_are_read_where_there_is_attention() -> None:
    """The grid nearest 16 is 12, but the blocks on it have no attention; the next nearest is 24."""
    sites = _sites(96, _TINY)

    assert _count([site for site in sites if carries_words(site)]) == {(Place.DOWN, 24): 2, (Place.UP, 24): 3}
    assert {site.side for site in sites if carries_layout(site)} == {12, 24, 48}


def test_the_pocket_models_full_grid_is_read_for_words() -> None:
    sites = _sites(16, _POCKET)

    assert {site.side for site in sites if carries_words(site)} == {16}
    assert {site.place for site in sites if carries_words(site)} == {Place.DOWN, Place.UP}
    assert {site.side for site in sites if carries_layout(site)} == {8}


def test_a_model_without_cross_attention_in_its_blocks_has_no_word_sites() -> None:
    names = ["mid_block.attentions.0.transformer_blocks.0.attn2.processor"]

    (site,) = parse_sites(names, levels=4, full_side=64).values()

    assert not carries_words(site)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        parse_sites(["controlnet.attn1.processor"], levels=4, full_side=64)
