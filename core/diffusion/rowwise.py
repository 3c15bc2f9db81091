"""Layers that compute a row bit by bit as they would alone, however many rows share the call.

PyTorch takes other kernels for one row than for several: a rounding of 1e-6, which a learned inversion multiplies by
about three at every timestep. On a CPU in float32 these two kinds of layer are all that does so in a UNet.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def make_rowwise(network: nn.Module) -> None:
    """Exchanges a frozen network's layers in place; what it computes stays the same up to rounding."""
    for name, layer in list(network.named_modules()):
        if type(layer) is nn.Linear:
            network.set_submodule(name, RowwiseLinear(layer))
        elif type(layer) is nn.Conv2d and _is_plain(layer):
            network.set_submodule(name, RowwiseConv2d(layer))


@final
class RowwiseLinear(nn.Linear):
    """A frozen linear layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, device="meta")
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width_out"]:
        """Rows of one vector (time embeddings) are multiplied one by one; many vectors a row are one matrix product."""
        if x.dim() != 2:
            return F.linear(x, self.weight, self.bias)
        return _product(x[:, None], self.weight.t().expand(len(x), -1, -1), self.bias)[:, 0]


@final
class RowwiseConv2d(nn.Conv2d):
    """A frozen convolution: by oneDNN in both directions, or as a matrix product where its kernel is one place."""

    def __init__(self, layer: nn.Conv2d) -> None:
        side, stride, padding = (_number(part) for part in (layer.kernel_size, layer.stride, layer.padding))
        channels = layer.in_channels, layer.out_channels
        super().__init__(*channels, side, stride, padding, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self._turned: Tensor | None = None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        """The convolution."""
        if (*self.kernel_size, *self.stride, *self.padding) == (1, 1, 1, 1, 0, 0):
            weight = self.weight.flatten(1).expand(len(x), -1, -1)
            bias: Tensor | None = self.bias
            product = _product(weight, x.flatten(2), None if bias is None else bias[:, None])
            return product.reshape(len(x), -1, *x.shape[2:])
        if not (x.requires_grad and torch.is_grad_enabled()):
            return self.convolve(x)
        output: Tensor = _Convolution.apply(x, self)  # type: ignore[no-untyped-call]
        return output

    def convolve(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c_out h_out w_out"]:
        """The same by oneDNN, of which torch takes no gradient."""
        return _convolve(x, self.weight, self.bias, stride=_number(self.stride), padding=_number(self.padding))

    @property
    def turned(self) -> Tensor:
        """The kernel by which gradients go back: [c_in, c_out, side, side], both sides reversed."""
        if self._turned is None:
            self._turned = self.weight.detach().transpose(0, 1).flip(2, 3).contiguous()
        return self._turned


@final
class _Convolution(torch.autograd.Function):
    """The gradient of a convolution is one too, of the gradients with zeros between them where it strides."""

    @staticmethod
    def forward(context: Any, x: Tensor, layer: RowwiseConv2d) -> Tensor:
        context.layer, context.size = layer, x.shape[2:]
        return layer.convolve(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), layer = gradients, context.layer
        side, stride, padding = (_number(part) for part in (layer.kernel_size, layer.stride, layer.padding))
        if stride > 1:
            gradient = _spread(gradient, stride, [length + 2 * padding - side + 1 for length in context.size])
        return _convolve(gradient, layer.turned, None, stride=1, padding=side - 1 - padding), None


def _product(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(left, right) if bias is None else torch.baddbmm(bias, left, right)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int, padding: int) -> Tensor:
    return torch.mkldnn_convolution(x.contiguous(), weight, bias, [padding] * 2, [stride] * 2, [1] * 2, 1)


def _spread(x: Tensor, stride: int, size: Sequence[int]) -> Tensor:
    """Every value at every `stride`-th place of a larger grid of zeros."""
    spread = x.new_zeros(*x.shape[:2], *size)
    spread[:, :, ::stride, ::stride] = x
    return spread


def _is_plain(layer: nn.Conv2d) -> bool:
    numbers = (layer.kernel_size, layer.stride, layer.padding)
    even = all(not isinstance(part, str) and len(set(part)) == 1 for part in numbers)
    return even and layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"


def _number(pair: Any) -> int:
    return int(pair[0])
