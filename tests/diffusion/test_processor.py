"""Attention under control, inside a real UNet: nothing without control, gradients and recorded maps with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from core.diffusion.attention.control import Carry, Control
from core.diffusion.attention.reroute import Reroute
from core.diffusion.attention.sites import Site, carries_layout, carries_words
from core.diffusion.backbone import Backbone
from tests.diffusion.tiny import save_tiny_model

_LAYOUT = Reroute.of_layout(carries_layout, torch.tensor([0, 0, 2]))
_TIMESTEPS = torch.tensor([801, 401, 1])


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def keys() -> Tensor:
    return torch.randn(3, 32, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def single(tiny_folder: Path) -> Backbone:
    """The tiny model in float32, as a CPU runs it."""
    return Backbone(tiny_folder, image_encoder=None, dtype=torch.float32)


@pytest.fixture
def checkpointed(tiny_folder: Path) -> Backbone:
    """The tiny model in float64 with gradient checkpointing, which runs each block twice."""
    backbone = Backbone(tiny_folder, image_encoder=None, dtype=torch.float64)
    backbone._unet.enable_gradient_checkpointing()
    backbone._unet.train()
    return backbone


@pytest.mark.parametrize("unet", [{}, {"use_linear_projection": True, "attention_head_dim": [2, 4]}])
@torch.no_grad()
def test_without_control_the_output_is_that_of_diffusers(
    tmp_path: Path, latents: Tensor, keys: Tensor, unet: dict[str, object]
) -> None:
    """Also with the projections and heads of Stable Diffusion 2.x."""
    folder = save_tiny_model(tmp_path, unet)
    load: Callable[..., torch.nn.Module] = UNet2DConditionModel.from_pretrained
    theirs = load(folder / "unet").double()(latents.double(), _TIMESTEPS, encoder_hidden_states=keys.double()).sample

    backbone = Backbone(folder, image_encoder=None, dtype=torch.float64)
    ours = backbone.predict(latents.double(), _TIMESTEPS, keys.double(), control=None)

    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@torch.no_grad()
def test_an_empty_control_changes_nothing(single: Backbone, latents: Tensor, keys: Tensor) -> None:
    free = single.predict(latents, _TIMESTEPS, keys, control=None)

    assert torch.equal(single.predict(latents, _TIMESTEPS, keys, control=Control()), free)


@torch.no_grad()
def test_values_equal_to_the_keys_change_nothing(single: Backbone, latents: Tensor, keys: Tensor) -> None:
    free = single.predict(latents, _TIMESTEPS, keys, control=None)

    assert torch.equal(single.predict(latents, _TIMESTEPS, keys, control=Control(values=keys.clone())), free)
    assert not torch.equal(single.predict(latents, _TIMESTEPS, keys, control=Control(values=keys + 1)), free)


@torch.no_grad()
def test_recording_changes_the_output_by_rounding_alone(single: Backbone, latents: Tensor, keys: Tensor) -> None:
    free = single.predict(latents, _TIMESTEPS, keys, control=None)
    control = Control(record=carries_words)

    seen = single.predict(latents, _TIMESTEPS, keys, control=control)

    torch.testing.assert_close(seen, free, rtol=0, atol=1e-6)
    assert {site.side for site in control.maps} == {16}
    for maps in control.maps.values():
        assert maps.shape == (3, 2, 256, 32)
        torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 256))


@torch.no_grad()
def test_rows_nobody_edits_are_bit_equal_under_an_edit(single: Backbone, latents: Tensor, keys: Tensor) -> None:
    free = single.predict(latents, _TIMESTEPS, keys, control=None)
    carry = Carry(torch.tensor([1]), torch.tensor([0]), from_source=torch.eye(32)[None], own=torch.zeros(1, 32))

    edited = single.predict(latents, _TIMESTEPS, keys, control=Control(carry=carry, reroutes=(_LAYOUT,)))

    assert torch.equal(edited[[0, 2]], free[[0, 2]])
    assert not torch.equal(edited[1], free[1])


@torch.no_grad()
def test_control_follows_the_precision_of_the_model(tiny_folder: Path, latents: Tensor, keys: Tensor) -> None:
    """A GPU runs the UNet in bfloat16 while latents, texts and rules stay float32."""
    backbone = Backbone(tiny_folder, image_encoder=None, dtype=torch.bfloat16)
    carry = Carry(torch.tensor([1]), torch.tensor([0]), from_source=torch.eye(32)[None], own=torch.zeros(1, 32))
    control = Control(values=keys, carry=carry, reroutes=(_LAYOUT,), record=carries_words)

    output = backbone.predict(latents, _TIMESTEPS, keys, control=control)

    assert output.dtype == torch.float32
    assert torch.isfinite(output).all()
    assert control.maps


def _gradients(backbone: Backbone, latents: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
    values, nulls = (keys[:1] + 0.1).double().requires_grad_(), (keys[:1] - 0.1).double().requires_grad_()
    control = Control(values=values, record=carries_words)
    output = backbone.predict(latents[:1].double(), _TIMESTEPS[:1], nulls, control=control)
    read = sum((maps.square().sum() for maps in control.maps.values()), torch.zeros(()))
    return (
        *torch.autograd.grad(output.square().sum(), (values, nulls), retain_graph=True),
        *torch.autograd.grad(read, (values, nulls)),
    )


def test_gradients_reach_values_null_embeddings_and_recorded_maps(
    backbone: Backbone, latents: Tensor, keys: Tensor
) -> None:
    for gradient in _gradients(backbone, latents, keys):
        assert gradient.abs().max() > 0


def test_gradients_are_the_same_with_checkpointing(
    backbone: Backbone, checkpointed: Backbone, latents: Tensor, keys: Tensor
) -> None:
    plain = _gradients(backbone, latents, keys)

    for ours, theirs in zip(_gradients(checkpointed, latents, keys), plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_each_site_is_recorded_once_with_checkpointing(checkpointed: Backbone, latents: Tensor, keys: Tensor) -> None:
    seen: list[Site] = []

    def record(site: Site) -> bool:
        seen.append(site)
        return carries_words(site)

    control, values = Control(record=record), keys.clone().requires_grad_()
    output = checkpointed.predict(latents, _TIMESTEPS, values, control=control)
    before = dict(control.maps)
    torch.autograd.grad(output.sum(), values)

    assert len(seen) > len(set(seen))  # the recomputation asked again
    assert len(control.maps) == len(before) == len({site for site in seen if carries_words(site)})


def test_no_weight_of_the_model_is_trained(backbone: Backbone) -> None:
    assert not any(weight.requires_grad for weight in backbone._unet.parameters())
