"""MasaCtrl: what it is without its rule, what it reads and when, and what dividing the object off changes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.attention.division import stands_out
from core.diffusion.attention.sites import carries_content
from core.diffusion.backbone import Backbone
from core.diffusion.calls import Predictor
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Reached
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_edit
from core.domain.edit_parts import MaskAware
from core.domain.edit_specs import EditSpec, MasaCtrlSpec, P2PlusSpec, WordSwapSpec
from tests.diffusion.inverting import SOURCE, TARGET, drive_together, edit_of
from tests.diffusion.tiny import Watched

_T = 4
_OBJECTS = (SOURCE, "circle"), (TARGET, "star")

Sampler = Callable[..., list[Tensor]]


@pytest.fixture(scope="module")
def sample(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> Sampler:
    """Runs an edit by its specification; gives the latent after each timestep."""

    def run(
        spec: EditSpec, *, target: str = TARGET, guidance: float = 3.0, predictor: Predictor = backbone
    ) -> list[Tensor]:
        latents: list[Tensor] = []

        def observe(reached: Reached) -> None:
            latents.append(reached.latents)

        drive(
            edit(spec, edit_of(backbone, inversion, target=target, guidance=guidance), schedule, seed=0),
            predictor,
            observe,
        )
        return latents

    return run


def _apart(threshold: float = 0.5, *, start: int = 1) -> MasaCtrlSpec:
    words = MaskAware(source_words=("circle",), target_words=("star",), threshold=threshold)
    return MasaCtrlSpec(start=start, mask_aware=words)


@pytest.mark.parametrize("start", [_T, _T + 1])
def test_from_the_last_timestep_on_it_is_word_swap_bit_for_bit(sample: Sampler, start: int) -> None:
    swapped = sample(WordSwapSpec())[-1]

    assert torch.equal(sample(MasaCtrlSpec(start=start))[-1], swapped)
    assert torch.equal(sample(_apart(start=start))[-1], swapped)


def test_before_its_start_it_is_word_swap_and_then_no_longer(sample: Sampler) -> None:
    swapped, shared = sample(WordSwapSpec()), sample(MasaCtrlSpec(start=2))

    assert torch.equal(shared[0], swapped[0])
    assert torch.equal(shared[1], swapped[1])
    assert not torch.allclose(shared[2], swapped[2], atol=1e-6)


@pytest.mark.parametrize("start", [0, 2])
def test_the_source_prompt_as_target_follows_the_path(sample: Sampler, inversion: Inversion, start: int) -> None:
    latents = sample(MasaCtrlSpec(start=start, value_window=1.0), target=SOURCE)

    torch.testing.assert_close(torch.stack(latents), inversion.path[1:], rtol=0, atol=1e-9)


def test_both_branches_look_at_the_sources_from_the_start_on(backbone: Backbone, sample: Sampler) -> None:
    """Rows are target conditional and unconditional, then the source's; the source is evaluated from there on alone."""
    watched = Watched(backbone)

    sample(MasaCtrlSpec(start=2), predictor=watched)

    assert watched.rows == [2, 2, 4, 4]
    assert [control.reroutes for control in watched.controls[:2]] == [(), ()]
    for control in watched.controls[2:]:
        (content,) = control.reroutes
        assert content.where is carries_content
        assert content.query.tolist() == [0, 1, 2, 3]
        assert content.key.tolist() == content.value.tolist() == [2, 3, 2, 3]


@pytest.mark.parametrize("spec", [MasaCtrlSpec(start=1), _apart(), MasaCtrlSpec(start=_T), MasaCtrlSpec(start=0)])
def test_passes_are_the_announced_cost(backbone: Backbone, sample: Sampler, spec: EditSpec) -> None:
    watched = Watched(backbone)

    sample(spec, predictor=watched)

    assert sum(watched.rows) == cost_of_edit(spec, timesteps=_T).unet_forwards


def test_at_guidance_one_one_branch_looks_at_one(backbone: Backbone, sample: Sampler) -> None:
    watched = Watched(backbone)

    sample(_apart(start=1), guidance=1.0, predictor=watched)

    assert watched.rows == [1, 2, 2, 2]


def test_object_and_surroundings_apart_is_another_edit(sample: Sampler) -> None:
    plain, apart = sample(MasaCtrlSpec(start=1)), sample(_apart())

    assert torch.allclose(apart[0], plain[0], rtol=0, atol=1e-9)
    assert not torch.allclose(apart[-1], plain[-1], atol=1e-6)


@pytest.mark.parametrize("start", [0, 1])
def test_everything_inside_the_object_is_the_plain_edit(sample: Sampler, start: int) -> None:
    """From a threshold of 0 on, every place belongs to it."""
    plain = sample(MasaCtrlSpec(start=start))[-1]

    torch.testing.assert_close(sample(_apart(0.0, start=start))[-1], plain, rtol=0, atol=1e-9)


def test_the_target_is_divided_by_its_maps_of_the_timesteps_before(
    backbone: Backbone, sample: Sampler, inversion: Inversion
) -> None:
    """At the first timestep there are none; the source's region is that of the maps the inversion keeps."""
    watched = Watched(backbone)

    sample(_apart(0.3, start=0), predictor=watched)

    circle, star = (list(backbone.vocabulary.parse(text).positions(word)) for text, word in _OBJECTS)
    source = stands_out(inversion.word_maps[:, circle].sum(-1), 0.3)
    seen = torch.zeros(256)
    for n, control in enumerate(watched.controls):
        assert len(control.splits) == min(n, 1)
        for split in control.splits:
            assert split.rows.tolist() == [0, 1]
            assert torch.equal(split.seen, source.expand(2, 16, 16))
            assert torch.equal(split.looks, stands_out(seen, 0.3).expand(2, 16, 16))
            assert 0 < split.looks.float().mean() < 1
        seen = seen + torch.stack([maps[0].mean(0) for maps in control.maps.values()]).mean(0)[:, star].sum(-1)


def test_maps_without_a_peak_divide_nothing(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> None:
    flat = torch.ones_like(inversion.word_maps)
    blind = Inversion(inversion.conditioning, inversion.trace, inversion.path, flat)

    divided, plain = (
        drive(edit(spec, edit_of(backbone, blind), schedule, seed=0), backbone).latent
        for spec in (_apart(), MasaCtrlSpec(start=1))
    )

    torch.testing.assert_close(divided, plain, rtol=0, atol=1e-9)


@pytest.mark.parametrize("spec", [MasaCtrlSpec(start=1), _apart()], ids=["plain", "mask-aware"])
def test_alone_and_in_a_batch_are_equal(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, sample: Sampler, spec: MasaCtrlSpec
) -> None:
    """Beside another target, another plan, and itself with another start."""
    specs: list[tuple[Any, str]] = [
        (P2PlusSpec(), TARGET),
        (spec, TARGET),
        (spec.model_copy(update={"start": 2}), "a green star on sand"),
    ]

    together = drive_together(
        [edit(each, edit_of(backbone, inversion, target=target), schedule, seed=0) for each, target in specs], backbone
    )

    for (each, target), edited in zip(specs, together, strict=True):
        torch.testing.assert_close(edited.latent, sample(each, target=target)[-1], rtol=0, atol=1e-9)
