"""The mapping network as the released code has it."""

from itertools import pairwise

import torch
from torch import Tensor, nn


def mapping_network(features: Tensor, text: Tensor, *, seed: int) -> nn.Module:
    """From image tokens [n, width] to scale and shift of text tokens; its batch norm sees batches of one.

    Drawn from N(0, 0.01^2), without bias.
    """
    channels = 2 * len(text)
    widths = (len(features), channels, channels, channels)
    enter, mix, leave = (nn.Conv1d(*pair, 1) for pair in pairwise(widths))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in (enter, mix, leave):
            one.weight.copy_(0.01 * torch.randn(one.weight.shape, generator=generator))
            one.bias.zero_()  # type: ignore[union-attr]
    return nn.Sequential(enter, mix, nn.BatchNorm1d(channels), nn.LeakyReLU(), leave).to(text)
