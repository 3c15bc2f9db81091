"""StyleDiffusion and P2Plus from end to end, against the published code on the same random network."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import Role
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit as edit_by
from core.diffusion.editing.subject import Edited, EditSubject, Text
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.stylediffusion import invert_stylediffusion
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.mapping import MappingNetwork
from core.diffusion.requests import Reached, Tensors
from core.domain.edit_parts import Blend, CrossRule
from core.domain.edit_specs import P2PlusSpec
from core.domain.inversion_parts import Head
from core.domain.inversion_specs import StyleDiffusionSpec
from tests.diffusion.tiny import losses_of, save_tiny_model
from tests.reference import arrays, described, prompt_of

_RUN = described("toy_run")
_VALUES = {name: torch.from_numpy(array) for name, array in arrays("toy_run").items()}
_PROMPTS = {record["text"]: prompt_of(record) for record in _RUN["prompts"]}
_SPEC = StyleDiffusionSpec(timesteps=5, inner_steps=4, inner_decay=0.1, stop_loss=0, stop_slope=0)
# Names of the published mapping network, sorted as its weights were drawn.
_NAMES = {
    "conv_block.0.0.bias": "mix.bias",
    "conv_block.0.0.weight": "mix.weight",
    "conv_block.0.1.bias": "norm_bias",
    "conv_block.0.1.weight": "norm_weight",
    "conv_end.bias": "leave.bias",
    "conv_end.weight": "leave.weight",
    "conv_start.bias": "enter.bias",
    "conv_start.weight": "enter.weight",
}


@dataclass(frozen=True)
class _World:
    """The random network, the picture and sentences of the reference run."""

    backbone: Backbone
    subject: Subject
    text: Callable[[str], Tensor]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> _World:
    folder = save_tiny_model(tmp_path_factory.mktemp("published"), _RUN["unet"])
    backbone = Backbone(folder, image_encoder=None, dtype=torch.float64)
    _fill_unet(backbone._unet)
    backbone._unet.time_proj = _ExactTimesteps()
    random = np.random.RandomState(91)
    table, position = random.standard_normal((669, 12)), 0.3 * random.standard_normal((77, 12))

    def text(sentence: str) -> Tensor:
        return torch.from_numpy(table[list(_PROMPTS[sentence].ids)] + position)

    null = torch.from_numpy(table[[667, *[668] * 76]] + position)
    features = random.standard_normal((1, 197, 12))
    coarse, fine = random.standard_normal((1, 4, 8, 8)), random.standard_normal((1, 4, 64, 64))
    latent = 0.7 * coarse.repeat(8, axis=2).repeat(8, axis=3) + 0.3 * fine
    subject = Subject(torch.from_numpy(latent[0]), text(_RUN["source"]), null, torch.from_numpy(features[0]))
    return _World(backbone, subject, text)


@pytest.fixture(scope="module")
def run(world: _World) -> tuple[Inversion, list[list[float]]]:
    """The inversion from the published start of the mapping network, and its losses."""
    schedule = world.backbone.schedule(5)
    trace = drive(trace_image(world.subject, schedule, keep_maps=False, calls_in_all=5), world.backbone)
    state: Tensors = {
        "trace": trace.latents,
        "word_maps": trace.word_maps,
        "path": trace.latents[-1:],
        "found": torch.empty(0),
        "losses": torch.empty(0),
        **{f"carried.{name}": weight for name, weight in _published_start().items()},
    }
    solver = invert_stylediffusion(_SPEC, world.subject, schedule, seed=0, resume=state)
    return losses_of(solver, world.backbone)


class _ExactTimesteps(nn.Module):
    """The UNet's encoding of the timestep as the reference run had it: angles in float64, of float32 rates."""

    def forward(self, timesteps: Tensor) -> Tensor:
        rates = torch.exp(-math.log(10000) * torch.arange(4, dtype=torch.float32) / 4)
        angles = timesteps.double()[:, None] * rates
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _fill_unet(unet: Any) -> None:
    random, total, squares = np.random.RandomState(90), 0.0, 0.0
    for name, weight in sorted(unet.named_parameters()):
        drawn = _drawn(random, name, weight.shape)
        weight.data.copy_(torch.from_numpy(drawn))
        total, squares = total + drawn.sum(), squares + np.square(drawn).sum()
    assert [sum(w.numel() for w in unet.parameters()), total, squares] == pytest.approx(_RUN["unet_check"])


def _drawn(random: np.random.RandomState, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    drawn = random.standard_normal(shape)
    if len(shape) == 1:
        return 0.1 * drawn + name.endswith("weight")
    factors = {"attn2.to_k": 3.0, "attn2.to_q": 3.0, "attn2.to_v": 0.05, "conv_out.weight": 0.3}
    factor = next((factor for part, factor in factors.items() if part in name), 1.0)
    scaled: npt.NDArray[np.float64] = factor * drawn / np.sqrt(np.prod(shape[1:]))
    return scaled


def _published_start() -> Tensors:
    """The first mapping network; its head c gamma + beta is one higher than ours, c (1 + gamma) + beta."""
    shapes = {name: weight.shape for name, weight in _network().named_parameters()}
    random, weights = np.random.RandomState(92), {}
    for theirs, ours in sorted(_NAMES.items()):
        drawn = random.standard_normal(shapes[ours])
        if theirs == "conv_end.weight":
            drawn = 0.02 * drawn
        elif drawn.ndim > 1:
            drawn = drawn / np.sqrt(shapes[ours][1])
        else:
            drawn = 0.1 * drawn + (theirs == "conv_block.0.1.weight")
        if theirs == "conv_end.bias":
            drawn = 0.2 * drawn
        weights[ours] = torch.from_numpy(drawn)
    values = torch.cat([weight.flatten() for weight in weights.values()])
    count, total, squares = _RUN["mapping_check"]
    # The published gamma starts at one, ours at nought.
    shift = weights["leave.bias"][:77]
    found = torch.stack([torch.tensor(len(values)), values.sum() + 77, values.square().sum() + (2 * shift + 1).sum()])
    assert found.tolist() == pytest.approx([count, total, squares])
    return weights


def _network() -> nn.Module:
    return MappingNetwork(image_tokens=197, text_tokens=77, head=Head.MODULATE)


def _close(ours: Tensor, name: str) -> None:
    torch.testing.assert_close(ours, _VALUES[name], rtol=0, atol=1e-6)


def test_texts_and_latent_are_those_of_the_run(world: _World) -> None:
    latent = world.subject.latent

    _close(world.subject.source, "source_text")
    _close(world.subject.null, "null_text")
    _close(torch.stack([latent.sum(), latent.square().sum()]), "latent_check")


def test_the_trace_and_its_maps_are_the_published_ones(world: _World) -> None:
    schedule = world.backbone.schedule(5)

    trace = drive(trace_image(world.subject, schedule, keep_maps=True, calls_in_all=5), world.backbone)

    _close(trace.latents[..., ::8, ::8], "trace")
    maps = torch.stack([torch.stack([each.mean(1)[0] for each in call.values()]).mean(0) for call in trace.maps[1:]])
    _close(maps.view(4, 16, 16, 77)[:, ::2, ::2, 1:4], "attention_trace")
    assert [len(call) for call in trace.maps] == [5] * 5


def test_the_losses_are_the_published_ones(run: tuple[Inversion, list[list[float]]]) -> None:
    _, losses = run

    published = [row[~np.isnan(row)].tolist() for row in _VALUES["losses"].numpy()]
    assert [len(row) for row in losses] == [len(row) for row in published]
    for ours, theirs in zip(losses, published, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_path_and_learned_values_are_the_published_ones(
    world: _World, run: tuple[Inversion, list[list[float]]]
) -> None:
    inversion, _ = run

    _close(inversion.path[..., ::8, ::8], "path")
    values = [inversion.conditioning.at(index, world.subject.source, Role.SOURCE).value[:16] for index in range(5)]
    _close(torch.stack(values), "value_text")


def _edit(world: _World, inversion: Inversion, edit: dict[str, Any]) -> tuple[Edited, list[Tensor]]:
    words = edit["equalizer"] or {"words": [], "values": []}
    blend = None
    if edit["blend_words"] is not None:
        source_words, target_words = edit["blend_words"]
        threshold = _RUN["thresholds"][0]
        blend = Blend(source_words=source_words, target_words=target_words, threshold=threshold)
    spec = P2PlusSpec(
        value_window=edit["tau_v"],
        cross_window=edit["tau_c"],
        self_window=edit["tau_s"],
        uncond_window=edit["tau_u"],
        cross_rule=CrossRule(edit["alignment"]),
        reweight=dict(zip(words["words"], words["values"], strict=True)),
        blend=blend,
    )
    source, target = _RUN["source"], edit["target"]
    subject = EditSubject(
        inversion,
        source=Text(_PROMPTS[source], world.subject.source),
        target=Text(_PROMPTS[target], world.text(target)),
        null=world.subject.null,
        guidance=_SPEC.guidance,
    )
    latents: list[Tensor] = []

    def observe(reached: Reached) -> None:
        latents.append(reached.latents)

    return drive(edit_by(spec, subject, world.backbone.schedule(5), seed=0), world.backbone, observe), latents


@pytest.mark.parametrize("edit", _RUN["edits"], ids=lambda edit: edit["name"])
def test_an_edit_is_the_published_one(
    world: _World, run: tuple[Inversion, list[list[float]]], edit: dict[str, Any]
) -> None:
    """The target row after each timestep, and the region it was kept to."""
    inversion, _ = run

    edited, latents = _edit(world, inversion, edit)

    _close(torch.stack(latents)[..., ::8, ::8], f"{edit['name']}.latents")
    assert (edited.region is None) == (edit["blend_words"] is None)
    if edited.region is not None:
        assert torch.equal(edited.region[::4, ::4], _VALUES[f"{edit['name']}.masks"][-1, 1])
