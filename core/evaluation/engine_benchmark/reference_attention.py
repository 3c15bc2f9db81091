"""Attention of the reference loop: an explicit map in every layer, and state that is set before each UNet call."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

MapEdit: TypeAlias = Callable[[Tensor, "Layer"], Tensor]


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """Where an attention layer stands."""

    name: str
    cross: bool
    middle: bool


@final
@dataclass(slots=True)
class Stage:
    """What the layers of the next call do besides attending.

    `value_input` makes the value layers' input of the text in every cross-attention layer anew; `edit` changes the
    maps [rows, heads, pixels, places]; `maps` receives those of cross-attention.
    """

    value_input: Callable[[Tensor], Tensor] | None = None
    edit: MapEdit | None = None
    maps: dict[Layer, Tensor] = field(default_factory=dict)

    def word_maps(self) -> dict[Layer, Tensor]:
        """Maps of the down and up blocks on the grid nearest to 16 on a side."""
        outer = {layer: maps for layer, maps in self.maps.items() if not layer.middle}
        sides = {math.isqrt(maps.shape[2]) for maps in outer.values()}
        side = min(sides, key=lambda one: abs(one - 16))
        return {layer: maps for layer, maps in outer.items() if maps.shape[2] == side**2}


@final
class ExplicitAttention:
    """Softmax of queries and keys as a tensor, whether anything reads it or not."""

    def __init__(self, layer: Layer, stage: Stage) -> None:
        self._layer = layer
        self._stage = stage

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        values = context
        if self._layer.cross and self._stage.value_input is not None:
            values = self._stage.value_input(context)
        parts = (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(values))
        query, key, value = (part.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for part in parts)
        maps = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
        if self._stage.edit is not None:
            maps = self._stage.edit(maps, self._layer)
        if self._layer.cross:
            self._stage.maps[self._layer] = maps
        out: Tensor = attn.to_out[0]((maps @ value).transpose(1, 2).flatten(2))
        return out


def install(unet: Any, stage: Stage) -> None:
    """Puts explicit attention into every layer."""
    unet.set_attn_processor(
        {
            name: ExplicitAttention(Layer(name, cross="attn2" in name, middle=name.startswith("mid_block")), stage)
            for name in unet.attn_processors
        }
    )
