"""Style transfer: where it starts, what it takes from the style and what from the content, and what has a style."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import trace_image
from core.diffusion.schedule import Schedule
from core.domain.compatibility import refusal
from core.domain.costs import cost_of_edit
from core.domain.edit_specs import StyleTransferSpec, WordSwapSpec
from tests.diffusion.inverting import SPECS, drive_together, edit_of, sample
from tests.diffusion.tiny import Watched, text_of, tiny_subject

_SENTENCE = "a green heart on sand"
_NONE: dict[str, Any] = {"feature_window": 0.0, "self_window": 0.0}


def _spec(**changes: Any) -> StyleTransferSpec:
    return StyleTransferSpec(content_image_id="img_content", content_prompt=_SENTENCE, **changes)


def _content() -> Tensor:
    return torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture
def styled(backbone: Backbone, inversion: Inversion) -> EditSubject:
    """The style of the inversion's picture, and a content."""
    return replace(
        edit_of(backbone, inversion), content=_content(), sentences={"content_prompt": text_of(backbone, _SENTENCE)}
    )


@pytest.fixture(scope="module")
def way(backbone: Backbone, schedule: Schedule) -> Tensor:
    """The content's trace backwards: from noise to the picture."""
    subject = replace(tiny_subject(backbone, _SENTENCE), latent=_content())
    trace = drive(trace_image(subject, schedule, keep_maps=False, calls_in_all=4), backbone)
    return trace.latents.flip(0)


@pytest.mark.parametrize("value_window", [0.0, 0.5, 1.0])
def test_without_windows_it_samples_from_the_contents_noise_with_the_styles_values(
    backbone: Backbone, schedule: Schedule, styled: EditSubject, way: Tensor, value_window: float
) -> None:
    from_noise = replace(styled, inversion=replace(styled.inversion, path=way))

    spec = _spec(**_NONE, value_window=value_window)
    transferred = sample(styled, schedule, spec=spec, predictor=backbone)
    swapped = sample(from_noise, schedule, spec=WordSwapSpec(value_window=value_window), predictor=backbone)

    torch.testing.assert_close(transferred.latent, swapped.latent, rtol=0, atol=1e-9)


def test_the_styles_values_change_the_result(backbone: Backbone, schedule: Schedule, styled: EditSubject) -> None:
    with_style, without = (
        sample(styled, schedule, spec=_spec(value_window=window), predictor=backbone) for window in (1.0, 0.0)
    )

    assert not torch.allclose(with_style.latent, without.latent, atol=1e-4)


def test_the_content_lends_what_it_shows_on_its_own_trace(
    backbone: Backbone, schedule: Schedule, styled: EditSubject, way: Tensor
) -> None:
    """Four calls trace it; then rows are target conditional, target unconditional, content."""
    watched = Watched(backbone)

    sample(styled, schedule, spec=_spec(feature_window=0.75, self_window=0.5), predictor=watched)

    assert watched.rows == [1] * 4 + [3, 3, 3, 2]
    lending, controls = watched.latents[4:7], watched.controls[4:7]
    torch.testing.assert_close(torch.stack([latents[2] for latents in lending]), way[:3], rtol=0, atol=1e-9)
    for control in controls:
        assert control.values is not None
        assert control.features is not None
        assert control.features.tolist() == [2, 2, 2]
        assert torch.equal(control.values[2], styled.sentences["content_prompt"])
    assert [len(control.reroutes) for control in controls] == [1, 1, 0]


def test_passes_are_the_announced_cost(backbone: Backbone, schedule: Schedule, styled: EditSubject) -> None:
    watched = Watched(backbone)

    sample(styled, schedule, spec=_spec(), predictor=watched)

    assert sum(watched.rows) == cost_of_edit(_spec(), timesteps=4).unet_forwards


def test_alone_and_in_a_batch_are_equal(backbone: Backbone, schedule: Schedule, styled: EditSubject) -> None:
    other = replace(styled, content=_content().flip(-1))
    spec = _spec()

    together = drive_together([edit(spec, each, schedule, seed=0) for each in (styled, other)], backbone)

    for each, transferred in zip((styled, other), together, strict=True):
        alone = sample(each, schedule, spec=spec, predictor=backbone)
        torch.testing.assert_close(transferred.latent, alone.latent, rtol=0, atol=1e-9)


def test_only_inversions_that_learn_values_for_any_sentence_have_a_style() -> None:
    allowed = {name for name, spec in SPECS.items() if refusal(spec, _spec()) is None}

    assert allowed == {
        "stylediffusion",
        "stylediffusion, last map",
        "stylediffusion, keys and values",
        "stylediffusion, no attention loss",
        "value_embedding",
    }
