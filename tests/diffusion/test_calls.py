"""Row groups of several solvers in one call: each gets what it would have got alone."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from core.diffusion.attention.control import Carry, Control
from core.diffusion.attention.reroute import Reroute
from core.diffusion.attention.sites import carries_layout, carries_words, reads_words
from core.diffusion.backbone import Backbone
from core.diffusion.calls import _control, denoise_groups, descend_groups
from core.diffusion.placement import place_groups
from core.diffusion.requests import Denoised, Descend, Rows
from tests.diffusion.tiny import Watched


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _rows(count: int, *, seed: int, timestep: int) -> Rows:
    """Plain rows, with values of their own."""
    return Rows(
        _normal(count, 4, 16, 16, seed=seed),
        timestep,
        keys=_normal(count, 32, 16, seed=seed + 1),
        values=_normal(count, 32, 16, seed=seed + 2),
    )


def _edited_rows(*, seed: int, timestep: int) -> Rows:
    """Target and source, the target under both kinds of control."""
    rows = _rows(2, seed=seed, timestep=timestep)
    matrix = torch.softmax(_normal(1, 32, 32, seed=seed + 3), dim=1)
    carry = Carry(torch.tensor([0]), torch.tensor([1]), from_source=matrix, own=_normal(1, 32, seed=seed + 4))
    return Rows(
        rows.latents,
        timestep,
        keys=rows.keys,
        values=rows.values,
        reroutes=(Reroute.of_layout(carries_layout, torch.tensor([1, 1])),),
        carry=carry,
    )


@pytest.fixture
def groups() -> list[Rows]:
    return [
        _rows(1, seed=10, timestep=751),
        _edited_rows(seed=20, timestep=501),
        _rows(3, seed=30, timestep=1),
        _edited_rows(seed=40, timestep=251),
    ]


@torch.no_grad()
def test_groups_in_one_call_are_answered_as_if_alone(backbone: Backbone, groups: list[Rows]) -> None:
    watched = Watched(backbone)

    together = denoise_groups(watched, groups)

    assert watched.rows == [8]
    for rows, answer in zip(groups, together, strict=True):
        (alone,) = denoise_groups(backbone, [rows])
        torch.testing.assert_close(answer.output, alone.output, rtol=0, atol=1e-10)


def test_row_numbers_count_within_the_whole_call(groups: list[Rows]) -> None:
    control = _control(list(zip(place_groups(groups), groups, strict=True)))

    (layout,) = control.reroutes
    assert layout.query.tolist() == layout.key.tolist() == [0, 2, 2, 3, 4, 5, 7, 7]
    assert layout.value.tolist() == list(range(8))
    assert control.carry is not None
    assert control.carry.rows.tolist() == [1, 6]
    assert control.carry.sources.tolist() == [2, 7]
    assert control.values is not None
    assert torch.equal(control.values, torch.cat([rows.values for rows in groups]))


def test_groups_without_rules_need_none(groups: list[Rows]) -> None:
    plain = [groups[0], groups[2]]

    control = _control(list(zip(place_groups(plain), plain, strict=True)))

    assert control.reroutes == ()
    assert control.carry is None
    assert control.record is None


@torch.no_grad()
def test_each_group_gets_the_maps_it_records_alone(backbone: Backbone, groups: list[Rows]) -> None:
    """The first group asks for nothing, the second for the maps of the words, the third for every layer's."""
    asking, reading = (
        Rows(groups[2].latents, 1, keys=groups[2].keys, values=groups[2].values, record=record)
        for record in (carries_words, reads_words)
    )

    silent, second, third = denoise_groups(backbone, [groups[0], asking, reading])

    assert silent.maps == {}
    assert {site.side for site in second.maps} == {16}
    assert {site.side for site in third.maps} == {16, 8}
    for request, answer in ((asking, second), (reading, third)):
        (alone,) = denoise_groups(backbone, [request])
        assert answer.maps.keys() == alone.maps.keys()
        for site, maps in alone.maps.items():
            torch.testing.assert_close(answer.maps[site], maps, rtol=0, atol=1e-10)


@torch.no_grad()
def test_a_shared_row_is_computed_once_and_answered_to_all(backbone: Backbone) -> None:
    """Three edits of one source: the second takes nothing from it, the third stands at another timestep."""
    first, second, third = (_edited_rows(seed=20, timestep=timestep) for timestep in (501, 501, 251))
    other = torch.cat([_normal(1, 4, 16, 16, seed=99), second.latents[1:]])
    groups = [
        replace(first, shared=("source at 501",)),
        replace(second, latents=other, reroutes=(), carry=None, shared=("source at 501",)),
        replace(third, shared=("source at 251",)),
    ]
    watched = Watched(backbone)

    together = denoise_groups(watched, groups)

    assert watched.rows == [5]
    for rows, answer in zip(groups, together, strict=True):
        (alone,) = denoise_groups(backbone, [rows])
        torch.testing.assert_close(answer.output, alone.output, rtol=0, atol=1e-10)


def _descend(leaf: Tensor, *, seed: int, enough: float = 0.0) -> Descend:
    rows = _rows(1, seed=seed, timestep=501)

    def build() -> Rows:
        return Rows(rows.latents, rows.timestep, keys=rows.keys, values=leaf[None], record=carries_words)

    def loss(seen: Denoised) -> Tensor:
        return seen.output.square().mean() + sum(maps.square().mean() for maps in seen.maps.values())

    return Descend(build, loss, (leaf,), enough)


def _leaf(seed: int) -> Tensor:
    return _normal(32, 16, seed=seed).requires_grad_()


def test_gradients_of_several_solvers_are_those_of_each_alone(backbone: Backbone) -> None:
    leaves = [_leaf(seed) for seed in (1, 2, 3)]
    requests = [_descend(leaf, seed=50 + 10 * n) for n, leaf in enumerate(leaves)]
    watched = Watched(backbone)

    together = descend_groups(watched, requests)

    assert watched.rows == [3]
    gradients = [leaf.grad for leaf in leaves]
    for request, leaf, answer, gradient in zip(requests, leaves, together, gradients, strict=True):
        (alone,) = descend_groups(backbone, [request])
        assert answer.loss == pytest.approx(alone.loss, abs=1e-12)
        torch.testing.assert_close(answer.output, alone.output, rtol=0, atol=1e-10)
        torch.testing.assert_close(gradient, leaf.grad, rtol=0, atol=1e-12)


def test_a_repeated_descent_gives_the_gradient_once(backbone: Backbone) -> None:
    """A call that failed half-way is repeated; nothing may add up."""
    leaf = _leaf(1)
    request = _descend(leaf, seed=50)
    descend_groups(backbone, [request])
    once = leaf.grad

    descend_groups(backbone, [request])

    assert once is not None
    assert leaf.grad is not None
    assert torch.equal(once, leaf.grad)


def test_a_loss_that_is_enough_asks_for_no_gradient(backbone: Backbone) -> None:
    done, going = _leaf(1), _leaf(2)
    requests = [_descend(done, seed=50, enough=1e9), _descend(going, seed=60)]

    answers = descend_groups(backbone, requests)

    assert [answer.enough for answer in answers] == [True, False]
    assert done.grad is None
    assert going.grad is not None
    assert not any(answer.output.requires_grad for answer in answers)


def test_a_loss_that_is_no_number_is_not_enough_and_spoils_nobody_else(backbone: Backbone) -> None:
    lost, going = _leaf(1), _leaf(2)
    broken = Descend(_descend(lost, seed=50).rows, lambda seen: seen.output.mean() * torch.nan, (lost,), 1e9)

    answers = descend_groups(backbone, [broken, _descend(going, seed=60)])

    assert not answers[0].enough
    assert going.grad is not None
    assert torch.isfinite(going.grad).all()


def test_shapes_are_checked_in_these_tests(backbone: Backbone) -> None:
    """What the annotations say of shapes is tested at every call; a wrong one is an error."""
    with pytest.raises(TypeCheckError, match="latents"):
        backbone.predict(torch.zeros(4, 16, 16), torch.zeros(1).long(), torch.zeros(1, 32, 16), control=Control())
