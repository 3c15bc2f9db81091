"""Layers whose rows do not know how many they are."""

import pytest
import torch
from torch import Tensor, nn

from core.diffusion.attention.control import Control
from core.diffusion.attention.sites import carries_words
from core.diffusion.backbone import Backbone
from core.diffusion.rowwise import RowwiseConv2d, RowwiseLinear
from core.pocket.weights import model_path


@pytest.fixture(scope="module")
def packaged() -> Backbone:
    return Backbone(model_path(), image_encoder=None, dtype=torch.float32)


CONVOLUTIONS = [(3, 1, 1), (3, 2, 1), (1, 1, 0), (5, 3, 2)]


@pytest.mark.parametrize(("side", "stride", "padding"), CONVOLUTIONS)
def test_a_convolution_and_its_gradient_are_those_of_torch(side: int, stride: int, padding: int) -> None:
    layer = nn.Conv2d(6, 10, side, stride, padding).requires_grad_(requires_grad=False)
    x = torch.randn(3, 6, 16, 16, requires_grad=True)

    ours, theirs = RowwiseConv2d(layer)(x), layer(x)

    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(_gradient(out, x) for out in (ours, theirs)))


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_that_of_torch(bias: bool) -> None:  # noqa: FBT001 - pytest passes by name
    layer = nn.Linear(12, 7, bias=bias).requires_grad_(requires_grad=False)

    for shape in ((5, 12), (5, 9, 12)):
        x = torch.randn(shape, requires_grad=True)
        ours, theirs = RowwiseLinear(layer)(x), layer(x)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(*(_gradient(out, x) for out in (ours, theirs)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_row_is_the_same_bit_by_bit_in_any_company(packaged: Backbone, threads: int, count: int) -> None:
    generator = torch.Generator().manual_seed(3)
    side = packaged.latent_side
    latents = torch.randn(8, 4, side, side, generator=generator)
    keys, values = torch.randn(2, 8, 77, 96, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        few, many = (_evaluate(packaged, latents[:n], keys[:n], values[:n]) for n in (count, 8))
    finally:
        torch.set_num_threads(before)

    for some, all_of_them in zip(few, many, strict=True):
        assert torch.equal(some, all_of_them[:count])


def _evaluate(backbone: Backbone, latents: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of the values through it and the maps."""
    leaf = values.clone().requires_grad_()
    control = Control(values=leaf, record=carries_words)
    output = backbone.predict(latents, torch.full((len(latents),), 501), keys, control=control)
    parts = [output, *control.maps.values()]
    loss = torch.stack([part.square().flatten(1).mean(1).sum() for part in parts]).sum()
    return output.detach(), _gradient(loss, leaf)


def _gradient(output: Tensor, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(output.sum(), x)
    return gradient
