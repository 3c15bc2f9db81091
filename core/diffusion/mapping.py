"""The network that learns, per timestep, the value input of cross-attention from the image's features."""

from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.diffusion.requests import Tensors
from core.domain.inversion_parts import Head


@final
class MappingNetwork(nn.Module):
    """M_t: image tokens to a modulation of text tokens, channels being tokens and length the embedding width.

    Three pointwise convolutions with a normalisation and a leaky ReLU after the second. The published BatchNorm runs
    in training mode on batches of one, which is an instance norm; written as one, jobs stay independent.
    Source: Li et al. 2023, arXiv 2303.15649, section 3.2 and appendix; initialisation N(0, 0.01^2).
    """

    def __init__(self, *, image_tokens: int, text_tokens: int, head: Head) -> None:
        super().__init__()
        channels = text_tokens * (2 if head is Head.MODULATE else 1)
        self.head = head
        self.enter = nn.Conv1d(image_tokens, channels, 1)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.norm_weight = nn.Parameter(torch.ones(channels))
        self.norm_bias = nn.Parameter(torch.zeros(channels))
        self.leave = nn.Conv1d(channels, channels, 1)

    def initialise(self, generator: torch.Generator) -> None:
        """Draws the published start: all weights N(0, 0.01^2), no bias; `modulate` then starts at the text itself."""
        for layer in (self.enter, self.mix, self.leave):
            weight, bias = layer.parameters()
            with torch.no_grad():
                weight.copy_(0.01 * torch.randn(weight.shape, generator=generator))
                bias.zero_()

    def forward(self, features: Float[Tensor, "image_tokens width"]) -> Float[Tensor, "channels width"]:
        """The modulation: gamma over beta for `modulate` (2 x text tokens), the value input itself for `replace`."""
        hidden = _pointwise(self.mix, _pointwise(self.enter, features))
        hidden = F.instance_norm(hidden[None], weight=self.norm_weight, bias=self.norm_bias)[0]
        return _pointwise(self.leave, F.leaky_relu(hidden))

    def tensors(self) -> Tensors:
        """A detached copy of the weights by name."""
        return {name: weight.detach().clone() for name, weight in self.state_dict().items()}


def _pointwise(layer: nn.Conv1d, x: Float[Tensor, "channels width"]) -> Float[Tensor, "channels_out width"]:
    """A convolution of one place as the matrix product that it is; on a CPU the convolution is several times slower."""
    weight, bias = layer.parameters()
    return torch.addmm(bias[:, None], weight[..., 0], x)


def modulate(
    head: Head, modulation: Float[Tensor, "channels width"], text: Float[Tensor, "tokens width"]
) -> Float[Tensor, "tokens width"]:
    """The value input that a modulation makes of a text embedding: c (1 + gamma) + beta, or the modulation itself."""
    if head is Head.REPLACE:
        return modulation
    gamma, beta = modulation.chunk(2)
    return text * (1 + gamma) + beta
