"""From an edit's parameters to its rules: windows, factors, blend, against published windows."""

from typing import Any

import pytest
import torch

from core.diffusion.attention.plan import Branch, CarryWords, KeepLayout, Plan
from core.diffusion.editing.plans import plan_edit, value_stop
from core.domain.edit_parts import Blend, CrossRule
from core.domain.edit_specs import P2PlusSpec, P2pSpec, WordSwapSpec
from core.domain.errors import ErrorCode, InputError
from tests.reference import arrays, cases, described, prompt_of

_WINDOWS = cases("windows")
_BOUNDS = [case for case in described("windows")["bounds"] if not isinstance(case["fraction"], list)]
_ABSENT = ["word_of_the_source_only", "absent_word"]
_SOURCE, _TARGET = (prompt_of(record) for record in _WINDOWS["float_0.4"]["prompts"])


def _is_from_nought(case: dict[str, Any]) -> bool:
    """Windows here begin with sampling; the published code also takes pairs."""
    window = case["window"]
    bounds = window.values() if isinstance(window, dict) else [window]
    return all(isinstance(bound, float) for bound in bounds)


def _spec(window: Any) -> P2pSpec:
    if not isinstance(window, dict):
        return P2pSpec(cross_window=window, self_window=0, cross_rule=CrossRule.REFINE)
    words = {word: bound for word, bound in window.items() if word != "default_"}
    # A published mapping without a default means the whole time for all other words.
    default = window.get("default_", 1.0)
    return P2pSpec(cross_window=default, word_windows=words, self_window=0, cross_rule=CrossRule.REFINE)


def _carried(plan: Plan) -> CarryWords | None:
    return next((rule.what for rule in plan.rules if isinstance(rule.what, CarryWords)), None)


@pytest.mark.parametrize("timesteps", [50, 10])
@pytest.mark.parametrize(
    "name", [name for name, case in _WINDOWS.items() if _is_from_nought(case) and name not in _ABSENT]
)
def test_cross_windows_are_the_published_ones(name: str, timesteps: int) -> None:
    """They are laid over T + 1 rows, of which the last is never read."""
    case = _WINDOWS[name]
    source, target = (prompt_of(record) for record in case["prompts"][:2])
    published = arrays("windows")[f"{name}.T{timesteps}"][:timesteps, 0]

    words = _carried(plan_edit(_spec(case["window"]), source, target, timesteps=timesteps))

    opened = [words.window(index) if words else torch.zeros(77) for index in range(timesteps)]
    assert torch.equal(torch.stack(opened).double(), torch.from_numpy(published).double())


@pytest.mark.parametrize("name", _ABSENT)
def test_a_window_for_a_word_the_target_lacks_is_refused(name: str) -> None:
    """The published code passes over it silently."""
    case = _WINDOWS[name]
    source, target = (prompt_of(record) for record in case["prompts"])

    with pytest.raises(InputError) as caught:
        plan_edit(_spec(case["window"]), source, target, timesteps=50)
    assert caught.value.code is ErrorCode.WORD_NOT_IN_PROMPT


@pytest.mark.parametrize("case", _BOUNDS, ids=lambda case: f"T{case['T']}-{case['fraction']}")
def test_rules_stop_where_the_published_ones_do(case: dict[str, Any]) -> None:
    spec = P2PlusSpec(cross_window=case["fraction"], self_window=case["fraction"], uncond_window=case["fraction"])

    plan = plan_edit(spec, _SOURCE, _TARGET, timesteps=case["T"])

    stops = {(rule.where, type(rule.what)): rule.stop for rule in plan.rules}
    assert stops.get((Branch.CONDITIONAL, CarryWords), 0) == case["cross_timesteps"]
    assert stops.get((Branch.CONDITIONAL, KeepLayout), 0) == case["self_timesteps"]
    assert stops.get((Branch.UNCONDITIONAL, KeepLayout), 0) == case["self_timesteps"]


def test_p2plus_is_p2p_and_one_rule_on_the_unconditional_branch() -> None:
    ours = plan_edit(P2PlusSpec(), _SOURCE, _TARGET, timesteps=50)
    theirs = plan_edit(P2pSpec(), _SOURCE, _TARGET, timesteps=50)

    kinds = [(rule.where, type(rule.what), rule.stop) for rule in ours.rules]
    assert kinds[:-1] == [(rule.where, type(rule.what), rule.stop) for rule in theirs.rules]
    assert kinds[-1] == (Branch.UNCONDITIONAL, KeepLayout, 25)


def test_word_swap_has_no_rules() -> None:
    assert plan_edit(WordSwapSpec(), _SOURCE, _TARGET, timesteps=50) == Plan()


@pytest.mark.parametrize(("window", "stop"), [(0.0, 0), (0.5, 3), (0.41, 3), (1.0, 5)])
def test_learned_values_are_used_while_the_index_is_below_the_window(window: float, stop: int) -> None:
    """The published test is i < tau_v T."""
    assert value_stop(WordSwapSpec(value_window=window), 5) == stop


def test_factors_stand_at_every_token_of_their_words() -> None:
    words = _carried(plan_edit(P2pSpec(reweight={"dog": -1.5, "snow": 3}), _SOURCE, _TARGET, timesteps=50))

    assert words is not None
    expected = torch.ones(77, dtype=torch.float64)
    expected[list(_TARGET.positions("dog"))], expected[list(_TARGET.positions("snow"))] = -1.5, 3
    assert torch.equal(words.factors, expected)


@pytest.mark.parametrize("start", [0.0, 0.2, 0.3])
@pytest.mark.parametrize("timesteps", [50, 30, 10])
def test_blending_begins_where_the_published_one_does(start: float, timesteps: int) -> None:
    spec = P2pSpec(blend=Blend(source_words=("circle",), target_words=("dog",), start=start))

    plan = plan_edit(spec, _SOURCE, _TARGET, timesteps=timesteps)

    assert plan.blend is not None
    assert plan.blend.first == described("local_blend")["first_blended_timestep"][f"T={timesteps},start={start}"]


def test_kept_words_may_stand_in_either_prompt() -> None:
    blend = Blend(source_words=("circle",), target_words=("dog",), keep_words=("grass", "snow", "red"))

    rule = plan_edit(P2pSpec(blend=blend), _SOURCE, _TARGET, timesteps=50).blend

    assert rule is not None
    assert rule.keep_source == (*_SOURCE.positions("grass"), *_SOURCE.positions("red"))
    assert rule.keep_target == (*_TARGET.positions("snow"), *_TARGET.positions("red"))


@pytest.mark.parametrize(
    "blend",
    [
        Blend(source_words=("dog",), target_words=("dog",)),
        Blend(source_words=("circle",), target_words=("circle",)),
        Blend(source_words=("circle",), target_words=("dog",), keep_words=("square",)),
    ],
)
def test_an_unknown_word_to_blend_is_refused(blend: Blend) -> None:
    with pytest.raises(InputError) as caught:
        plan_edit(P2pSpec(blend=blend), _SOURCE, _TARGET, timesteps=50)
    assert caught.value.code is ErrorCode.WORD_NOT_IN_PROMPT


def test_a_plan_tells_a_caller_its_rules() -> None:
    blend = Blend(source_words=("circle",), target_words=("dog",))

    described_plan = plan_edit(P2PlusSpec(blend=blend), _SOURCE, _TARGET, timesteps=50).describe()

    assert described_plan == {
        "rules": [
            {"branch": "conditional", "what": "cross_attention", "first": 0, "stop": 30},
            {"branch": "conditional", "what": "self_attention", "first": 0, "stop": 30},
            {"branch": "unconditional", "what": "self_attention", "first": 0, "stop": 25},
        ],
        "blend": {"first": 10, "threshold": 0.3},
        "division": None,
    }
