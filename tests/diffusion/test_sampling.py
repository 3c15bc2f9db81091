"""Sampling of edits: which rules are which method, what is evaluated, and what stays bit for bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.calls import Predictor
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import Edited
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Reached
from core.diffusion.schedule import Schedule
from core.domain.edit_parts import Blend
from core.domain.edit_specs import EditSpec, P2PlusSpec, P2pSpec, WordSwapSpec
from tests.diffusion.inverting import edit_of
from tests.diffusion.tiny import Watched, text_of

_SOURCE, _TARGET = "a red circle on grass", "a blue star on grass"
_NONE: dict[str, Any] = {"cross_window": 0.0, "self_window": 0.0}
_ALL: dict[str, Any] = {"cross_window": 1.0, "self_window": 1.0, "value_window": 1.0}
_CONTROLLED = P2PlusSpec(cross_window=0.5, self_window=0.8, uncond_window=0.25)

Sampler = Callable[..., tuple[Edited, list[Tensor]]]


@pytest.fixture(scope="module")
def sample(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> Sampler:
    """Runs an edit by its specification; gives the result and the latent after each timestep."""

    def run(
        spec: EditSpec, *, target: str = _TARGET, guidance: float = 3.0, predictor: Predictor = backbone
    ) -> tuple[Edited, list[Tensor]]:
        subject = edit_of(backbone, inversion, target=target, guidance=guidance)
        latents: list[Tensor] = []

        def observe(reached: Reached) -> None:
            latents.append(reached.latents)

        return drive(edit(spec, subject, schedule, seed=0), predictor, observe), latents

    return run


def test_p2plus_without_its_window_is_p2p_bit_for_bit(sample: Sampler) -> None:
    plus, _ = sample(P2PlusSpec(uncond_window=0.0))
    plain, _ = sample(P2pSpec())

    assert torch.equal(plus.latent, plain.latent)


def test_p2plus_with_its_window_is_not_p2p(sample: Sampler) -> None:
    plus, _ = sample(P2PlusSpec(uncond_window=0.5))
    plain, _ = sample(P2pSpec())

    assert not torch.allclose(plus.latent, plain.latent, atol=1e-6)


@pytest.mark.parametrize("value_window", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("empty", [P2pSpec(**_NONE), P2PlusSpec(**_NONE, uncond_window=0.0)])
def test_without_windows_an_edit_is_word_swap_bit_for_bit(
    sample: Sampler, empty: EditSpec, value_window: float
) -> None:
    edited, _ = sample(empty.model_copy(update={"value_window": value_window}))
    swapped, _ = sample(WordSwapSpec(value_window=value_window))

    assert torch.equal(edited.latent, swapped.latent)


def test_word_swap_differs_from_the_source(sample: Sampler, inversion: Inversion) -> None:
    swapped, _ = sample(WordSwapSpec(value_window=0.0))

    assert (swapped.latent - inversion.path[-1]).abs().max() > 0.01


@pytest.mark.parametrize("spec", [WordSwapSpec(value_window=1.0), P2PlusSpec(**_ALL, uncond_window=1.0)])
def test_an_edit_into_the_source_prompt_follows_the_path(sample: Sampler, inversion: Inversion, spec: EditSpec) -> None:
    _, latents = sample(spec, target=_SOURCE)

    torch.testing.assert_close(torch.stack(latents), inversion.path[1:], rtol=0, atol=1e-9)


def test_the_source_is_evaluated_only_inside_the_windows(backbone: Backbone, sample: Sampler) -> None:
    """cross: timesteps 0, 1; self: 0, 1, 2; unconditional self: 0. The target's two branches at all four."""
    watched = Watched(backbone)

    sample(_CONTROLLED, predictor=watched)

    assert watched.rows == [4, 3, 3, 2]


def test_rules_act_on_the_rows_they_name(backbone: Backbone, sample: Sampler) -> None:
    """Rows are target conditional, target unconditional, source conditional, source unconditional."""
    watched = Watched(backbone)

    sample(_CONTROLLED, predictor=watched)

    layouts = [c.reroutes[0].key.tolist() if c.reroutes else None for c in watched.controls]
    carries = [None if c.carry is None else (c.carry.rows.tolist(), c.carry.sources.tolist()) for c in watched.controls]
    assert layouts == [[2, 3, 2, 3], [2, 1, 2], [2, 1, 2], None]
    assert carries == [([0], [2]), ([0], [2]), None, None]


@pytest.mark.parametrize(("spec", "rows"), [(WordSwapSpec(), [1] * 4), (_CONTROLLED, [2, 2, 2, 1])])
def test_at_guidance_one_the_unconditional_branch_is_left_out(
    backbone: Backbone, sample: Sampler, spec: EditSpec, rows: list[int]
) -> None:
    watched = Watched(backbone)

    sample(spec, guidance=1.0, predictor=watched)

    assert watched.rows == rows


def test_learned_values_are_used_inside_their_window_alone(
    backbone: Backbone, sample: Sampler, inversion: Inversion
) -> None:
    watched = Watched(backbone)

    sample(WordSwapSpec(value_window=0.5), predictor=watched)

    text = text_of(backbone, _TARGET)
    values = [control.values[0] for control in watched.controls if control.values is not None]
    assert [torch.equal(value, text) for value in values] == [False, False, True, True]


def _blended(**changes: Any) -> P2PlusSpec:
    blend = Blend(source_words=("circle",), target_words=("star",), threshold=0.9, start=0.25)
    return P2PlusSpec(blend=blend.model_copy(update=changes))


def test_outside_the_region_the_sources_latents_stand_bit_for_bit(sample: Sampler, inversion: Inversion) -> None:
    edited, latents = sample(_blended())

    assert edited.region is not None
    assert 0 < edited.region.float().mean() < 1
    assert torch.equal(latents[-1][:, ~edited.region], inversion.path[-1][:, ~edited.region])
    assert not torch.equal(latents[-1][:, edited.region], inversion.path[-1][:, edited.region])


def test_blending_begins_at_its_timestep(sample: Sampler) -> None:
    _, free = sample(P2PlusSpec())
    _, blended = sample(_blended(start=0.5))

    torch.testing.assert_close(torch.stack(blended[:2]), torch.stack(free[:2]), rtol=0, atol=1e-9)
    assert not torch.allclose(blended[2], free[2], atol=1e-6)


def test_blending_reads_the_source_at_every_timestep(backbone: Backbone, sample: Sampler) -> None:
    watched = Watched(backbone)
    spec = P2pSpec(**_NONE, blend=_blended().blend)

    sample(spec, predictor=watched)

    assert watched.rows == [3] * 4
    assert all(control.carry is None and control.maps for control in watched.controls)


def test_a_region_of_nothing_gives_the_source_back(sample: Sampler, inversion: Inversion) -> None:
    """No share of a map is above its own maximum."""
    edited, latents = sample(_blended(threshold=1.0, start=0.0))

    assert edited.region is not None
    assert not edited.region.any()
    assert torch.equal(torch.stack(latents), inversion.path[1:])


def test_without_blending_there_is_no_region(sample: Sampler) -> None:
    assert sample(P2PlusSpec())[0].region is None


def test_a_factor_changes_an_edit_inside_the_cross_window_alone(sample: Sampler) -> None:
    base, _ = sample(P2pSpec(cross_window=0.5))
    louder, _ = sample(P2pSpec(cross_window=0.5, reweight={"star": 4.0}))
    closed, _ = sample(P2pSpec(cross_window=0.0, reweight={"star": 4.0}))
    open_for_others, _ = sample(P2pSpec(cross_window=0.0))

    assert not torch.allclose(base.latent, louder.latent, atol=1e-6)
    assert torch.equal(closed.latent, open_for_others.latent)
