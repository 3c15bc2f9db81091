"""Rows that look at what other rows show: content rerouted, and divided by an object's region."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.diffusion.attention.control import Control
from core.diffusion.attention.division import Division, Objects, stands_out
from core.diffusion.attention.reroute import Reroute, Split
from core.diffusion.attention.sites import Kind, Place, Site, carries_content, carries_layout
from core.diffusion.backbone import Backbone
from core.diffusion.calls import denoise_groups
from core.diffusion.requests import Rows
from tests.diffusion.tiny import Watched

_FINE = Site("fine", Kind.SELF, Place.UP, side=4, full_side=4)
_LEFT = torch.tensor([[True, True, False, False]] * 4)
_TOP = _LEFT.T
_ALL, _NONE = torch.ones(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.bool)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _operands() -> dict[str, Tensor]:
    """Query, key and value of two rows with two heads on 16 places."""
    return {name: _normal(2, 2, 16, 3, seed=n) for n, name in enumerate(("query", "key", "value"))}


def _attend(control: Control, site: Site = _FINE) -> Tensor:
    operands = _operands()
    return control.attend(site, operands["query"], key=operands["key"], value=operands["value"])


def _split(looks: Tensor, seen: Tensor) -> Split:
    return Split(carries_content, rows=torch.tensor([0]), looks=looks[None], seen=seen[None])


_CONTENT = Reroute.of_content(carries_content, torch.tensor([1, 1]))


def test_a_row_looks_with_its_own_query_at_the_source() -> None:
    given = _operands()
    expected = F.scaled_dot_product_attention(given["query"], given["key"][[1, 1]], given["value"][[1, 1]])

    assert torch.equal(_attend(Control(reroutes=(_CONTENT,))), expected)


@pytest.mark.parametrize(
    "site",
    [
        Site("words", Kind.CROSS, Place.UP, side=4, full_side=4),
        Site("encoder", Kind.SELF, Place.DOWN, side=4, full_side=4),
        Site("coarse", Kind.SELF, Place.UP, side=1, full_side=4),
    ],
    ids=lambda site: site.name,
)
def test_other_layers_look_at_their_own_row(site: Site) -> None:
    control = Control(reroutes=(_CONTENT,), splits=(_split(_LEFT, _TOP),))

    assert torch.equal(_attend(control, site), _attend(Control(), site))


def test_places_see_their_own_side_of_the_source_alone() -> None:
    given = _operands()
    out = _attend(Control(reroutes=(_CONTENT,), splits=(_split(_LEFT, _TOP),)))[0]

    looks, seen = _LEFT.flatten(), _TOP.flatten()
    for inside in (True, False):
        query, places = given["query"][0][:, looks == inside], seen == inside
        expected = F.scaled_dot_product_attention(query, given["key"][1][:, places], given["value"][1][:, places])
        torch.testing.assert_close(out[:, looks == inside], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("looks", "seen"), [(_ALL, _ALL), (_NONE, _LEFT), (_LEFT, _NONE), (_NONE, _NONE)], ids=["all", "0", "1", "both"]
)
def test_nothing_is_divided_where_one_region_is_everything_or_nothing(looks: Tensor, seen: Tensor) -> None:
    divided = _attend(Control(reroutes=(_CONTENT,), splits=(_split(looks, seen),)))

    torch.testing.assert_close(divided, _attend(Control(reroutes=(_CONTENT,))), rtol=0, atol=1e-12)


def test_surroundings_see_all_where_the_source_has_none() -> None:
    whole = _attend(Control(reroutes=(_CONTENT,)))

    divided = _attend(Control(reroutes=(_CONTENT,), splits=(_split(_LEFT, _ALL),)))

    torch.testing.assert_close(divided, whole, rtol=0, atol=1e-12)


def test_regions_are_laid_on_the_layers_own_grid() -> None:
    """A region of 2 x 2 places means the same as one of 4 x 4."""
    small = _attend(Control(splits=(_split(_LEFT[::2, ::2], _TOP[::2, ::2]),)))

    large = _attend(Control(splits=(_split(_LEFT, _TOP),)))

    assert torch.equal(small, large)


@torch.no_grad()
def test_shared_content_beside_other_groups_is_as_if_alone(backbone: Backbone) -> None:
    groups = [
        _rows(1, seed=10),
        _rows(3, seed=20, reroutes=(Reroute.of_content(carries_content, torch.tensor([2, 1, 2])),), split=_three()),
        _rows(2, seed=30, reroutes=(Reroute.of_layout(carries_layout, torch.tensor([1, 1])),)),
        _rows(3, seed=40, reroutes=(Reroute.of_content(carries_content, torch.tensor([2, 2, 2])),), split=_three()),
    ]
    watched = Watched(backbone)

    together = denoise_groups(watched, groups)

    assert watched.rows == [9]
    for rows, answer in zip(groups, together, strict=True):
        (alone,) = denoise_groups(backbone, [rows])
        torch.testing.assert_close(answer.output, alone.output, rtol=0, atol=1e-10)


def _three() -> Split:
    """The first of three rows is divided."""
    return _split(_LEFT, _TOP)


def _rows(count: int, *, seed: int, reroutes: tuple[Reroute, ...] = (), split: Split | None = None) -> Rows:
    text = _normal(count, 32, 16, seed=seed + 1)
    latents = _normal(count, 4, 16, 16, seed=seed)
    return Rows(latents, 501, keys=text, values=text, reroutes=reroutes, split=split)


def test_a_map_stands_out_from_its_least_to_its_most() -> None:
    word_map = torch.tensor([0.5, 0.55, 0.6, 1.5])

    assert stands_out(word_map, 0.1).flatten().tolist() == [False, False, True, True]
    assert stands_out(word_map, 0.0).all()
    assert not stands_out(torch.full((4,), 0.3), 0.0).any()


def test_the_targets_object_is_where_its_words_acted_so_far() -> None:
    """Token 1 is the object in the source, tokens 2 and 3 in the target."""
    maps = torch.zeros(3, 4, 4)
    maps[0, 0, 1] = maps[1, 1, 2] = maps[2, 2, 3] = 1.0
    objects = Objects.of(Division((1,), (2, 3), threshold=0.5), maps[0])

    assert objects.split(torch.tensor([0, 1])) is None
    objects.add(maps[1])
    objects.add(maps[2])
    split = objects.split(torch.tensor([0, 1]))

    assert split is not None
    assert split.seen.flatten(1).tolist() == [[True, False, False, False]] * 2
    assert split.looks.flatten(1).tolist() == [[False, True, True, False]] * 2
