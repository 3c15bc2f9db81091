"""Teaching words where to act: losses on cross-attention maps, from the masks that drawing gives for nothing."""

from dataclasses import dataclass, field
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from core.pocket.scenes import BACKGROUND_WORD, word_owners

BACKGROUND_REGION: Final = 2
_NOBODY: Final = -1
_TINY: Final = 1e-6
# Of the attention inside its region a thing's words should hold this much; asked for a fifth, trained for more.
_OBJECT_MASS: Final = 0.4
_BACKGROUND_MASS: Final = 0.2


@dataclass
class Recorder:
    """A cross-attention processor that keeps each call's maps, averaged over heads: [rows, cells, tokens].

    `factors` [rows, tokens], where given, multiply the weights after they are recorded.
    """

    maps: list[Tensor] = field(default_factory=list)
    factors: Tensor | None = None

    def __call__(self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        """Ordinary attention, written out."""
        query = _split(attention.to_q(hidden_states), attention.heads)
        key = _split(attention.to_k(encoder_hidden_states), attention.heads)
        value = _split(attention.to_v(encoder_hidden_states), attention.heads)
        weights = (query @ key.mT * attention.scale).softmax(-1)
        self.maps.append(weights.mean(1))
        if self.factors is not None:
            weights = weights * self.factors[:, None, None]
        output: Tensor = attention.to_out[0]((weights @ value).transpose(1, 2).flatten(2))
        return output


def install(unet: Any) -> Recorder:
    """Record every cross-attention of a UNet; the caller empties `maps` before each call."""
    recorder = Recorder()
    processors = unet.attn_processors
    unet.set_attn_processor({name: recorder if "attn2" in name else one for name, one in processors.items()})
    return recorder


def owners_of(captions: list[str], tokens: int) -> Tensor:
    """For every token the region its word speaks of (0 and 1 objects, 2 background) or -1, [captions, tokens]."""
    owners = torch.full((len(captions), tokens), _NOBODY)
    for row, caption in enumerate(captions):
        for place, owner in enumerate(word_owners(caption), start=1):
            if owner is not None:
                owners[row, place] = BACKGROUND_REGION if owner == BACKGROUND_WORD else owner
    return owners


def grounding_loss(maps: list[Tensor], *, owners: Tensor, regions: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """How much attention of words lies outside their regions, and how little they hold inside.

    Args:
        maps: [rows, cells, tokens] each; the cells of a map form a square.
        owners: [rows, tokens], from `owners_of`.
        regions: shares of latent cells, [rows, 3, side, side].
        weight: of each row, [rows].

    Source: the first is TokenCompose's token term, Wang et al. 2023, arXiv:2312.03626; the second is ours, because
    the first is content with words that hold next to nothing.
    """
    belongs = torch.stack([owners == region for region in range(regions.shape[1])], dim=1).float()  # [rows, 3, tokens]
    outside, missing = [], []
    for found in maps:
        side = int(found.shape[1] ** 0.5)
        cells = F.adaptive_avg_pool2d(regions, side).flatten(2)  # [rows, 3, cells]
        outside.append(_outside(found, belongs, cells, weight=weight))
        missing.append(_missing(found, belongs, cells, weight=weight))
    return torch.stack(outside).mean(), torch.stack(missing).mean()


def _outside(found: Tensor, belongs: Tensor, cells: Tensor, *, weight: Tensor) -> Tensor:
    """The squared share of each word's attention that lies outside its region, averaged over words."""
    inside = cells @ found  # [rows, 3, tokens]
    share = inside / (found.sum(1, keepdim=True) + _TINY)
    asked = belongs * weight[:, None, None]
    return (asked * (1 - share).square()).sum() / (asked.sum() + _TINY)


def _missing(found: Tensor, belongs: Tensor, cells: Tensor, *, weight: Tensor) -> Tensor:
    """How far, in logarithms, a thing's words together fall short of their mass inside its region."""
    held = (cells * (belongs @ found.mT)).sum(-1) / (cells.sum(-1) + _TINY)  # [rows, 3]
    wanted = held.new_tensor([_OBJECT_MASS, _OBJECT_MASS, _BACKGROUND_MASS])
    asked = belongs.amax(-1) * (cells.sum(-1) > 0.5) * weight[:, None]
    short = (wanted.log() - (held + _TINY).log()).clamp(min=0)
    return (asked * short).sum() / (asked.sum() + _TINY)


def _split(states: Tensor, heads: int) -> Tensor:
    rows, places, width = states.shape
    return states.view(rows, places, heads, width // heads).transpose(1, 2)
