"""Several results of one edit: what is tried, and what is refused."""

import pytest

from core.domain.compatibility import refusal
from core.domain.costs import cost_of_edit
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, P2PlusSpec, P2pSpec, SdEditSpec, WordSwapSpec, resolve_edit
from core.domain.errors import InputError
from core.domain.inversion_specs import DdimSpec, EditFriendlySpec, InversionSpec
from core.domain.variants import Candidate, Variety, candidates, check_variety, cost_of, grid_of

DDIM = DdimSpec()
# Issued with the paper's code: value, cross, self and unconditional window.
PUBLISHED = [
    (0.5, 0.6, 0.6, 0.0),
    (0.5, 0.6, 0.6, 0.5),
    (0.2, 0.6, 0.6, 0.5),
    (0.5, 0.6, 0.8, 0.5),
    (0.6, 0.6, 0.8, 0.5),
    (0.6, 0.2, 0.6, 0.4),
    (0.1, 0.2, 0.2, 0.0),
]


def searched(
    spec: EditSpec | None = None, *given: str, inversion: InversionSpec = DDIM, seed: int = 0
) -> list[EditSpec]:
    """The settings that a search tries."""
    variety = Variety(search=True, given=given)
    return [one.spec for one in candidates(spec or P2PlusSpec(), inversion, seed=seed, variety=variety)]


def windows(spec: EditSpec) -> tuple[float, ...]:
    values = spec.model_dump()
    return tuple(values[name] for name in ("value_window", "cross_window", "self_window", "uncond_window"))


def test_one_result_is_the_edit_itself() -> None:
    assert candidates(WordSwapSpec(), DDIM, seed=7) == (Candidate(WordSwapSpec(), 7),)


def test_a_method_that_draws_gives_several_by_their_seeds() -> None:
    chosen = candidates(SdEditSpec(), DDIM, seed=7, variety=Variety(count=3))

    assert [one.seed for one in chosen] == [7, 8, 9]
    assert [one.spec for one in chosen] == [SdEditSpec()] * 3


def test_the_published_settings_are_searched() -> None:
    tried = [windows(spec) for spec in searched(P2PlusSpec(), "method")]

    assert set(PUBLISHED) <= set(tried)


def test_a_search_without_a_method_tries_several_and_nothing_twice() -> None:
    """P2Plus without its window is P2P."""
    tried = searched()

    assert {spec.method for spec in tried} == {"p2plus", "p2p", "word_swap", "masactrl"}
    assert len({spec.model_dump_json() for spec in tried}) == len(tried)
    plain = {(spec.value_window, spec.cross_window) for spec in tried if isinstance(spec, P2pSpec)}
    without = {windows(spec)[:2] for spec in tried if isinstance(spec, P2PlusSpec) and spec.uncond_window == 0}
    assert plain.isdisjoint(without)


def test_what_is_given_is_held_fixed() -> None:
    tried = searched(P2PlusSpec(self_window=0.3, reweight={"star": 2.0}), "self_window", "reweight")

    assert {spec.method for spec in tried} == {"p2plus", "p2p"}  # the others have no such window
    values = [spec.model_dump() for spec in tried]
    assert {(one["self_window"], one["reweight"]["star"]) for one in values} == {(0.3, 2.0)}
    assert len({one["cross_window"] for one in values}) > 1


def test_an_editor_that_the_inversion_does_not_allow_is_left_out() -> None:
    spec = SdEditSpec()

    assert len(searched(spec, "method")) > 1
    assert refusal(EditFriendlySpec(), spec) is not None
    assert searched(spec, "method", inversion=EditFriendlySpec()) == []


@pytest.mark.parametrize("method", EditMethod)
def test_every_row_of_the_grid_is_a_valid_setting(method: EditMethod) -> None:
    for row in grid_of(method):
        assert resolve_edit(method, row).method is method


def test_the_cost_is_that_of_all_candidates() -> None:
    chosen = candidates(P2PlusSpec(), DDIM, seed=0, variety=Variety(search=True))

    total = cost_of(chosen, timesteps=50)

    assert total.unet_forwards == sum(cost_of_edit(one.spec, timesteps=50).unet_forwards for one in chosen)
    assert total.unet_forwards > 1000


@pytest.mark.parametrize(
    ("spec", "variety", "pointer"),
    [
        (P2PlusSpec(), Variety(count=2), "/count"),
        (resolve_edit(EditMethod.IMAGIC, {}), Variety(search=True), "/search"),
    ],
)
def test_several_results_that_make_no_sense_are_refused(spec: EditSpec, variety: Variety, pointer: str) -> None:
    with pytest.raises(InputError) as refused:
        check_variety(spec, variety)

    assert refused.value.errors[0].pointer == pointer


@pytest.mark.parametrize("variety", [Variety(), Variety(count=3), Variety(search=True, given=("method", "blend"))])
def test_a_jobs_inputs_hold_it(variety: Variety) -> None:
    back = Variety.of_inputs({"output": "model", **variety.to_inputs()})

    assert (back.kept, back.search, back.given) == (variety.kept, variety.search, variety.given)
