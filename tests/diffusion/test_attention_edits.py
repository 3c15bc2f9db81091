"""Attention edits in both forms, on explicit maps and as an index and a matrix, against published values."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diffusion.attention.control import Carry, Control, join_carries
from core.diffusion.attention.maps import attention_maps, carry
from core.diffusion.attention.plan import CarryWords
from core.diffusion.attention.reroute import Reroute
from core.diffusion.attention.sites import Kind, Place, Site, carries_layout
from core.domain.alignment import align
from core.domain.edit_parts import CrossRule
from tests.reference import arrays, cases, described, prompt_of

_VALUES = {name: torch.from_numpy(array) for name, array in arrays("attention").items()}
_CASES = cases("attention")
_CROSS = Site("cross", Kind.CROSS, Place.DOWN, side=3, full_side=6, word_side=3)
_SELF = Site("self", Kind.SELF, Place.DOWN, side=3, full_side=6, word_side=3)
_TARGETS = [(name, n) for name, case in _CASES.items() for n in range(len(case["prompts"]) - 1)]


def _words(name: str, target: int) -> CarryWords:
    """The rule with the case's own matrix, window and factors; the window is open before timestep 1 alone."""
    case, tokens = _CASES[name], 77
    # The published reweighting alone works on the source's maps as they are.
    matrix, kept = torch.eye(tokens, dtype=torch.float64), torch.ones(tokens, dtype=torch.float64)
    if case["edit"] == "replace":
        matrix = _VALUES[f"{name}.mapper"][target]
    if case["edit"] == "refine":
        # The published mapper says -1 for none, which its mask `alphas` leaves out.
        mapper, kept = _VALUES[f"{name}.mapper"][target], _VALUES[f"{name}.alphas"][target]
        matrix = torch.eye(tokens, dtype=torch.float64)[:, mapper]
    stops = tuple(int(opened) for opened in _VALUES[f"{name}.window"][target])
    return CarryWords(matrix, kept, factors=_factors(case), stops=stops)


def _factors(case: dict[str, Any]) -> Tensor:
    factors = torch.ones(77, dtype=torch.float64)
    if case["equalizer"] is not None:
        target = prompt_of(case["prompts"][1])
        for word, value in zip(case["equalizer"]["words"], case["equalizer"]["values"], strict=True):
            factors[list(target.positions(word))] = value
    return factors


def test_maps_are_the_softmax_of_query_and_key() -> None:
    torch.testing.assert_close(attention_maps(_VALUES["q"], _VALUES["k"]), _VALUES["maps"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "target"), _TARGETS)
def test_explicit_maps_are_edited_as_published(name: str, target: int) -> None:
    words = _words(name, target)

    edited = carry(
        _VALUES["maps"][0],
        _VALUES["maps"][1 + target],
        matrix=words.matrix,
        kept=words.kept,
        factors=words.factors,
        window=words.window(0),
    )

    torch.testing.assert_close(edited, _VALUES[f"{name}.maps"][target], rtol=0, atol=1e-12)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("name", _CASES)
def test_index_and_matrix_give_the_published_output(name: str, *, recorded: bool) -> None:
    count = len(_CASES[name]["prompts"]) - 1
    carries = [(torch.arange(1 + count), _words(name, n).carry(0, row=1 + n, source=0)) for n in range(count)]
    control = Control(carry=join_carries(carries), record=(lambda _: True) if recorded else None)

    out = control.attend(_CROSS, _VALUES["q"], key=_VALUES["k"], value=_VALUES["v"])

    torch.testing.assert_close(out[1 : 1 + count], _VALUES[f"{name}.out"], rtol=0, atol=1e-12)
    if recorded:
        torch.testing.assert_close(control.maps[_CROSS][1 : 1 + count], _VALUES[f"{name}.maps"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("recorded", [False, True])
def test_the_source_row_is_bit_equal_under_an_edit(*, recorded: bool) -> None:
    words = _words("replace_1_to_2_corrected", 0).carry(0, row=1, source=0)
    record = (lambda _: True) if recorded else None
    query, key, value = _VALUES["q"], _VALUES["k"], _VALUES["v"]

    free = Control(record=record).attend(_CROSS, query, key=key, value=value)
    edited = Control(carry=words, record=record).attend(_CROSS, query, key=key, value=value)

    assert torch.equal(edited[[0, 2]], free[[0, 2]])
    assert not torch.equal(edited[1], free[1])


@pytest.mark.parametrize("branch", ["self", "uncond"])
@pytest.mark.parametrize(("timestep", "swapped"), [(0, True), (4, True), (5, False)])
def test_self_attention_is_swapped_as_published(branch: str, timestep: int, *, swapped: bool) -> None:
    """On both branches of P2Plus, with T = 10 and a window of one half: timestep 4 is the last inside."""
    reroutes = (Reroute.of_layout(carries_layout, torch.tensor([0, 0])),) if swapped else ()
    query, key, value = (_VALUES[f"{branch}_{part}"][:2] for part in "qkv")
    control = Control(reroutes=reroutes, record=lambda _: True)

    out = control.attend(_SELF, query, key=key, value=value)
    fast = Control(reroutes=reroutes).attend(_SELF, query, key=key, value=value)

    torch.testing.assert_close(out, _VALUES[f"{branch}_timestep_{timestep}.out"], rtol=0, atol=1e-12)
    torch.testing.assert_close(fast, out, rtol=0, atol=1e-12)
    torch.testing.assert_close(control.maps[_SELF], _VALUES[f"{branch}_timestep_{timestep}.maps"], rtol=0, atol=1e-12)


def test_words_are_carried_in_cross_attention_alone() -> None:
    words = _words("replace_same_pieces", 0).carry(0, row=1, source=0)
    query, key, value = (_VALUES[f"self_{part}"] for part in "qkv")

    under = Control(carry=words).attend(_SELF, query, key=key, value=value)

    assert torch.equal(under, Control().attend(_SELF, query, key=key, value=value))


@pytest.mark.parametrize("side", [3, 6])
def test_layout_is_carried_in_self_attention_below_the_full_grid_alone(side: int) -> None:
    """The published limit is 32 x 32 places of a latent of 64 x 64."""
    site = Site("self", Kind.SELF, Place.DOWN, side=side, full_side=6, word_side=3)
    query, key, value = (_VALUES[f"self_{part}"][:2] for part in "qkv")

    reroute = Reroute.of_layout(carries_layout, torch.tensor([0, 0]))

    out = Control(reroutes=(reroute,)).attend(site, query, key=key, value=value)

    assert torch.equal(out, Control().attend(site, query, key=key, value=value)) is (side == 6)


def test_the_published_limit_of_self_attention_is_half_the_latents_side() -> None:
    limits = described("attention")["self_swap_by_side"]

    swapped = {side for side, seen in limits.items() if seen["conditional"] and seen["unconditional"]}

    assert swapped == {str(side) for side in (8, 16, 31, 32)}
    assert not limits["33"]["conditional"]


def test_joined_carries_count_rows_within_the_whole_call() -> None:
    first, second = (_words("replace_two_targets", n).carry(0, row=1, source=0) for n in (0, 1))

    joined = join_carries([(torch.tensor([0, 1]), first), (torch.tensor([5, 6]), second)])

    assert isinstance(joined, Carry)
    assert joined.rows.tolist() == [1, 6]
    assert joined.sources.tolist() == [0, 5]
    assert torch.equal(joined.from_source, torch.cat([first.from_source, second.from_source]))
    assert join_carries([]) is None


@pytest.mark.parametrize("name", [run["name"] for run in described("attention")["runs"]])
def test_maps_summed_over_a_run_are_the_edited_ones(name: str) -> None:
    """The published store holds views of tensors edited in place; here the edited maps are recorded deliberately."""
    run = next(run for run in described("attention")["runs"] if run["name"] == name)
    active = arrays("attention")[f"run_{name}.active"][:, 0]
    source, target = (prompt_of(record) for record in run["prompts"])
    edited = _edited_by(run, source, target)

    total = sum((edited if on else _VALUES["maps"][1] for on in active.astype(bool)), torch.zeros(2, 9, 77))

    torch.testing.assert_close(_VALUES["maps"][0] * len(active), _VALUES[f"run_{name}.stored_cross"][0])
    torch.testing.assert_close(total, _VALUES[f"run_{name}.stored_cross"][1], rtol=0, atol=1e-12)


def _edited_by(run: dict[str, Any], source: Any, target: Any) -> Tensor:

    alignment = align(source, target, CrossRule(run["edit"]))
    factors = np.ones(77)
    for word, value in zip(*(run["equalizer"] or {"words": [], "values": []}).values(), strict=True):
        factors[list(target.positions(word))] = value
    return carry(
        _VALUES["maps"][0],
        _VALUES["maps"][1],
        matrix=torch.from_numpy(alignment.matrix),
        kept=torch.from_numpy(alignment.kept),
        factors=torch.from_numpy(factors),
        window=torch.ones(77, dtype=torch.float64),
    )
