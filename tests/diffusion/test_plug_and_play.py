"""Plug-and-play: whose features and self-attention the target has, where, and until when."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.diffusion.attention.reroute import Reroute
from core.diffusion.attention.sites import Kind, Place, Site, carries_structure
from core.diffusion.backbone import Backbone
from core.diffusion.calls import denoise_groups
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Reached, Rows
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_edit
from core.domain.edit_specs import EditSpec, P2PlusSpec, PlugAndPlaySpec, WordSwapSpec
from core.domain.inversion_specs import DdimSpec, EditFriendlySpec
from tests.diffusion.inverting import SPECS, drive_together, edit_of, sample
from tests.diffusion.tiny import Watched, save_tiny_model, text_of, tiny_subject

_NONE: dict[str, Any] = {"feature_window": 0.0, "self_window": 0.0}
_ALL: dict[str, Any] = {"feature_window": 1.0, "self_window": 1.0, "value_window": 1.0}
_PUBLISHED = PlugAndPlaySpec(feature_window=0.8, self_window=0.5)  # of four timesteps 3 and 2
_FOUR_LEVELS = {
    "block_out_channels": (8, 8, 8, 8),
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "layers_per_block": 2,
}


def _pair(*, seed: int = 5) -> Rows:
    """Two unlike rows, of which the first takes the second's features and self-attention."""
    generator = torch.Generator().manual_seed(seed)
    latents, texts = (torch.randn(2, *shape, generator=generator).double() for shape in ((4, 16, 16), (32, 16)))
    taken = torch.tensor([1, 1])
    reroutes = (Reroute.of_layout(carries_structure, taken),)
    return Rows(latents, 501, keys=texts, values=texts, reroutes=reroutes, features=taken, record=_is_self)


def _is_self(site: Site) -> bool:
    return site.kind is Kind.SELF


def _equal_convolutions(backbone: Backbone, rows: Rows) -> list[str]:
    """The second convolutions of all residual blocks that answer both rows alike."""
    found = []

    def compare(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            if torch.equal(output[0], output[1]):
                found.append(name)

        return hook

    modules = backbone._unet.named_modules()
    handles = [module.register_forward_hook(compare(name)) for name, module in modules if name.endswith("conv2")]
    with torch.no_grad():
        denoise_groups(backbone, [rows])
    for handle in handles:
        handle.remove()
    return found


def test_features_are_taken_in_one_block_of_the_decoder(backbone: Backbone) -> None:
    assert _equal_convolutions(backbone, _pair()) == ["up_blocks.0.resnets.1.conv2"]


def test_in_a_unet_like_stable_diffusions_it_is_the_published_block(tmp_path: Path) -> None:
    """Decoder layer 4."""
    backbone = Backbone(save_tiny_model(tmp_path, _FOUR_LEVELS), image_encoder=None, dtype=torch.float64)

    assert _equal_convolutions(backbone, _pair()) == ["up_blocks.1.resnets.1.conv2"]


@torch.no_grad()
def test_self_attention_is_taken_in_the_decoder_but_its_first_layer(backbone: Backbone) -> None:
    (seen,) = denoise_groups(backbone, [_pair()])

    taken = {(site.place, site.order) for site, maps in seen.maps.items() if torch.equal(maps[0], maps[1])}
    assert taken == {(Place.UP, order) for order in (1, 2, 3)}
    assert len(seen.maps) > len(taken) + 1


@torch.no_grad()
def test_a_group_that_takes_features_leaves_the_others_of_its_call_alone(backbone: Backbone) -> None:
    taking = _pair()
    plain = Rows(taking.latents.flip(0), 251, keys=taking.keys, values=taking.values)
    groups = [plain, taking, plain, _pair(seed=6)]

    together = denoise_groups(backbone, groups)

    for rows, answer in zip(groups, together, strict=True):
        (alone,) = denoise_groups(backbone, [rows])
        torch.testing.assert_close(answer.output, alone.output, rtol=0, atol=1e-10)


def _watch(backbone: Backbone, subject: EditSubject, schedule: Schedule, spec: PlugAndPlaySpec) -> Watched:
    watched = Watched(backbone)
    sample(subject, schedule, spec=spec, predictor=watched)
    return watched


def test_both_target_rows_take_from_the_source_inside_each_window(
    backbone: Backbone, inversion: Inversion, schedule: Schedule
) -> None:
    """Rows are target conditional, target unconditional, source."""
    watched = _watch(backbone, edit_of(backbone, inversion), schedule, _PUBLISHED)

    features = [None if control.features is None else control.features.tolist() for control in watched.controls]
    layouts = [[one.query.tolist(), one.key.tolist()] for control in watched.controls for one in control.reroutes]
    assert watched.rows == [3, 3, 3, 2]
    assert features == [[2, 2, 2]] * 3 + [None]
    assert layouts == [[[2, 2, 2]] * 2] * 2


def test_the_source_row_is_the_unconditional_branch_on_the_path(backbone: Backbone, schedule: Schedule) -> None:
    """Of null-text inversion that is what it learned, not the empty prompt."""
    inversion = drive(invert(SPECS["null_text"], tiny_subject(backbone), schedule, seed=0), backbone)

    watched = _watch(backbone, edit_of(backbone, inversion), schedule, PlugAndPlaySpec(**_ALL))

    nulls = inversion.conditioning.tensors()["nulls"]
    assert torch.equal(torch.stack([latents[2] for latents in watched.latents]), inversion.path[:-1])
    for index, control in enumerate(watched.controls):
        assert control.values is not None
        assert torch.equal(control.values[2], nulls[index])


def test_learned_values_reach_the_target_inside_their_window(
    backbone: Backbone, inversion: Inversion, schedule: Schedule
) -> None:
    subject = edit_of(backbone, inversion)

    watched = _watch(backbone, subject, schedule, PlugAndPlaySpec(value_window=0.5))

    plain = [torch.equal(c.values[0], subject.target.embedding) for c in watched.controls if c.values is not None]
    assert plain == [False, False, True, True]


@pytest.mark.parametrize("value_window", [0.0, 0.5, 1.0])
def test_without_windows_it_is_word_swap_bit_for_bit(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, value_window: float
) -> None:
    subject = edit_of(backbone, inversion)
    empty, swap = PlugAndPlaySpec(**_NONE, value_window=value_window), WordSwapSpec(value_window=value_window)

    edited, swapped = (sample(subject, schedule, spec=spec, predictor=backbone) for spec in (empty, swap))

    assert torch.equal(edited.latent, swapped.latent)


@pytest.mark.parametrize("window", ["feature_window", "self_window"])
def test_each_window_changes_the_edit(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, window: str
) -> None:
    subject = edit_of(backbone, inversion)

    lent = sample(subject, schedule, spec=PlugAndPlaySpec(**{**_NONE, window: 1.0}), predictor=backbone)
    free = sample(subject, schedule, spec=PlugAndPlaySpec(**_NONE), predictor=backbone)

    assert not torch.allclose(lent.latent, free.latent, atol=1e-4)


def test_the_empty_prompt_into_itself_follows_the_path(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    """All rows are alike then, so that what each takes from the source is its own: any row misplaced would show."""
    nameless = tiny_subject(backbone, "")
    inversion = drive(invert(DdimSpec(timesteps=4, guidance=3.0), nameless, schedule, seed=0), backbone)
    latents: list[Tensor] = []

    def observe(reached: Reached) -> None:
        latents.append(reached.latents)

    spec = PlugAndPlaySpec(**_ALL)
    drive(edit(spec, edit_of(backbone, inversion, source="", target=""), schedule, seed=0), backbone, observe)

    torch.testing.assert_close(torch.stack(latents), inversion.path[1:], rtol=0, atol=1e-9)


def test_a_negative_prompt_feeds_the_unconditional_row_alone(
    backbone: Backbone, inversion: Inversion, schedule: Schedule
) -> None:
    ugly = text_of(backbone, "a sketch")
    subject = replace(edit_of(backbone, inversion), sentences={"negative_prompt": ugly})

    watched = _watch(backbone, subject, schedule, PlugAndPlaySpec(negative_prompt="a sketch", feature_window=1.0))

    for control in watched.controls:
        assert control.values is not None
        assert [torch.equal(values, ugly) for values in control.values] == [False, True, False]


def test_outside_a_region_the_path_stands(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> None:
    region = torch.arange(16).expand(16, 16) < 8
    subject = replace(edit_of(backbone, inversion), region=region)

    edited = sample(subject, schedule, spec=_PUBLISHED, predictor=backbone)

    assert torch.equal(edited.latent[:, ~region], inversion.path[-1][:, ~region])
    assert not torch.allclose(edited.latent[:, region], inversion.path[-1][:, region], atol=1e-4)


def test_windows_tell_noise_levels_so_a_short_path_has_passed_some(backbone: Backbone, schedule: Schedule) -> None:
    spec = EditFriendlySpec(timesteps=4, guidance=3.0, skip=0.25)
    inversion = drive(invert(spec, tiny_subject(backbone), schedule, seed=0), backbone)

    watched = _watch(backbone, edit_of(backbone, inversion), schedule, _PUBLISHED)

    assert watched.rows == [3, 3, 2]
    assert [bool(control.reroutes) for control in watched.controls] == [True, False, False]


@pytest.mark.parametrize("windows", [(0.8, 0.5), (0.0, 0.0), (0.25, 1.0)])
def test_passes_are_the_announced_cost(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, windows: tuple[float, float]
) -> None:
    spec = PlugAndPlaySpec(feature_window=windows[0], self_window=windows[1])

    watched = _watch(backbone, edit_of(backbone, inversion), schedule, spec)

    assert sum(watched.rows) == cost_of_edit(spec, timesteps=4).unet_forwards


def test_alone_and_in_a_batch_with_other_edits_are_equal(
    backbone: Backbone, inversion: Inversion, schedule: Schedule
) -> None:
    subject, other = edit_of(backbone, inversion), edit_of(backbone, inversion, target="a green heart on sand")
    asked: list[tuple[EditSpec, EditSubject]] = [
        (P2PlusSpec(), subject),
        (_PUBLISHED, subject),
        (WordSwapSpec(), other),
        (_PUBLISHED, other),
    ]

    together = drive_together([edit(spec, each, schedule, seed=0) for spec, each in asked], backbone)

    for (spec, each), edited in zip(asked, together, strict=True):
        alone = sample(each, schedule, spec=spec, predictor=backbone)
        torch.testing.assert_close(edited.latent, alone.latent, rtol=0, atol=1e-9)
