"""Parameters: bounds, unknown names, and which default wins."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from core.domain.edit_parts import CrossRule, EditMethod
from core.domain.edit_specs import P2PlusSpec, resolve_edit
from core.domain.errors import ErrorCode, InputError
from core.domain.inversion_parts import Head
from core.domain.inversion_specs import InversionMethod, StyleDiffusionSpec, resolve_inversion
from core.domain.methods import EDIT_METHODS, Method


def _faults(method: InversionMethod | EditMethod, given: Mapping[str, Any]) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        _ = resolve_inversion(method, given, {}) if isinstance(method, InversionMethod) else resolve_edit(method, given)
    assert caught.value.code is ErrorCode.VALIDATION
    return {fault.pointer: fault.detail for fault in caught.value.errors}


@pytest.mark.parametrize("method", InversionMethod)
def test_every_inversion_resolves_without_parameters(method: InversionMethod) -> None:
    assert resolve_inversion(method, {}, {}).method is method


@pytest.mark.parametrize("method", EDIT_METHODS, ids=lambda method: method.name)
def test_every_edit_resolves_with_what_it_needs_alone(method: Method) -> None:
    name = EditMethod(method.name)

    assert resolve_edit(name, method.needs).method is name
    for missing in method.needs:
        assert set(_faults(name, {})) == {f"/parameters/{missing}"}


def test_style_transfer_takes_no_region() -> None:
    given = {"content_image_id": "img_content", "region": {"words": ["circle"]}}

    assert set(_faults(EditMethod.STYLE_TRANSFER, given)) == {"/parameters/region"}


def test_a_sentence_has_no_character_that_the_database_refuses() -> None:
    assert set(_faults(EditMethod.PLUG_AND_PLAY, {"negative_prompt": "a\x00b"})) == {"/parameters/negative_prompt"}


def test_given_wins_over_the_models_default_and_that_over_the_methods() -> None:
    spec = resolve_inversion(InversionMethod.STYLEDIFFUSION, {"timesteps": 7}, {"timesteps": 9, "guidance": 5.0})

    assert (spec.timesteps, spec.guidance) == (7, 5.0)
    assert isinstance(spec, StyleDiffusionSpec)
    assert spec.inner_steps == 8


def test_a_models_default_for_another_method_is_passed_over() -> None:
    spec = resolve_inversion(InversionMethod.DDIM, {}, {"inner_steps": 3, "guidance": 5.0})

    assert spec.guidance == 5.0


def test_a_models_bad_default_is_refused() -> None:
    with pytest.raises(InputError):
        resolve_inversion(InversionMethod.DDIM, {}, {"timesteps": 0})


@pytest.mark.parametrize(
    ("name", "low", "high", "step"),
    [
        ("timesteps", 2, 200, 1),
        ("guidance", 1.0, 30.0, 0.01),
        ("inner_steps", 1, 500, 1),
        ("inner_decay", 0.0, 1.0, 0.01),
        ("stop_loss", 0.0, 1.0, 0.01),
        ("stop_slope", 0.0, 1.0, 0.01),
        ("attention_loss", 0.0, 100.0, 0.01),
    ],
)
def test_bounds_of_an_inversion_are_inclusive(name: str, low: float, high: float, step: float) -> None:
    for value in (low, high):
        assert getattr(resolve_inversion(InversionMethod.STYLEDIFFUSION, {name: value}, {}), name) == value
    for value in (low - step, high + step):
        assert set(_faults(InversionMethod.STYLEDIFFUSION, {name: value})) == {f"/parameters/{name}"}


@pytest.mark.parametrize("name", ["value_window", "cross_window", "self_window", "uncond_window"])
def test_a_window_is_a_share_of_the_timesteps(name: str) -> None:
    for value in (0.0, 1.0):
        assert getattr(resolve_edit(EditMethod.P2PLUS, {name: value}), name) == value
    for value in (-0.01, 1.01, float("nan")):
        assert set(_faults(EditMethod.P2PLUS, {name: value})) == {f"/parameters/{name}"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1e-3, 1.5])
def test_a_learning_rate_is_a_positive_number(value: float) -> None:
    assert set(_faults(InversionMethod.NULL_TEXT, {"learning_rate": value})) == {"/parameters/learning_rate"}


@pytest.mark.parametrize("name", ["timesteps", "guidance", "inner_steps", "learning_rate", "attention_loss"])
def test_true_is_no_number(name: str) -> None:
    assert "true or false" in _faults(InversionMethod.STYLEDIFFUSION, {name: True})[f"/parameters/{name}"]


def test_a_fraction_of_a_timestep_is_refused() -> None:
    assert set(_faults(InversionMethod.DDIM, {"timesteps": 2.5})) == {"/parameters/timesteps"}


def test_an_unknown_name_is_refused_where_it_stands() -> None:
    assert set(_faults(InversionMethod.DDIM, {"guidence": 3})) == {"/parameters/guidence"}
    assert set(_faults(EditMethod.P2P, {"uncond_window": 0.5})) == {"/parameters/uncond_window"}
    assert set(_faults(EditMethod.WORD_SWAP, {"cross_window": 0.5})) == {"/parameters/cross_window"}


def test_each_fault_has_its_own_pointer() -> None:
    given = {"cross_window": 2, "word_windows": {"a/b~c": 3}, "blend": {"source_words": [], "target_words": ["star"]}}

    faults = _faults(EditMethod.P2PLUS, given)

    assert set(faults) == {
        "/parameters/cross_window",
        "/parameters/word_windows/a~1b~0c",
        "/parameters/blend/source_words",
    }


def test_a_faulty_name_in_a_mapping_is_pointed_to_itself() -> None:
    assert set(_faults(EditMethod.P2P, {"reweight": {"": 2.0}})) == {"/parameters/reweight/"}


@pytest.mark.parametrize("given", [{"": 2.0}, {"x" * 65: 2.0}, {"star": 20.5}, {"star": True}, {"star": "much"}])
def test_a_reweighting_is_refused(given: dict[str, Any]) -> None:
    assert _faults(EditMethod.P2P, {"reweight": given})


def test_at_most_sixteen_words_are_reweighted() -> None:
    words = {f"w{n}": 1.0 for n in range(16)}

    resolve_edit(EditMethod.P2P, {"reweight": words})

    assert _faults(EditMethod.P2P, {"reweight": {**words, "one-more": 1.0}})


def test_a_resolved_specification_cannot_be_changed() -> None:
    spec = resolve_edit(EditMethod.P2PLUS, {"cross_rule": "refine"})

    assert isinstance(spec, P2PlusSpec)
    assert spec.cross_rule is CrossRule.REFINE
    with pytest.raises(ValidationError):
        spec.cross_rule = CrossRule.AUTO  # type: ignore[misc]


def test_a_specification_survives_json() -> None:
    given = {"blend": {"source_words": ["circle"], "target_words": ["star"]}, "reweight": {"star": 2.0}}
    edit = resolve_edit(EditMethod.P2PLUS, given)
    inversion = resolve_inversion(InversionMethod.STYLEDIFFUSION, {"head": "replace"}, {})

    assert resolve_edit(EditMethod.P2PLUS, edit.model_dump(mode="json")) == edit
    assert resolve_inversion(InversionMethod.STYLEDIFFUSION, inversion.model_dump(mode="json"), {}) == inversion
    assert isinstance(inversion, StyleDiffusionSpec)
    assert inversion.head is Head.REPLACE


def test_the_closing_timesteps_have_a_budget_of_their_own_and_do_not_end_early() -> None:
    spec = StyleDiffusionSpec(
        timesteps=5, inner_steps=2, closing_steps=6, closing_share=0.4, stop_loss=0.1, stop_slope=0.0
    )

    assert [spec.inner_budget(index) for index in range(5)] == [2, 2, 2, 6, 6]
    assert [spec.enough(index) for index in range(5)] == [0.1, 0.1, 0.1, 0.0, 0.0]


def test_without_closing_steps_no_timestep_closes() -> None:
    spec = StyleDiffusionSpec(timesteps=5, inner_steps=3, closing_steps=0, closing_share=1.0)

    assert [spec.inner_budget(index) for index in range(5)] == [3] * 5
