"""One stateless attention processor per site; all control arrives with the call."""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor

from core.diffusion.attention.control import Control
from core.diffusion.attention.low_rank import LowRank, Projection, add_low_rank, projection_name
from core.diffusion.attention.sites import Kind, Site


@final
class SiteProcessor:
    """Attention of one layer; without control it equals diffusers' default processor.

    Control reaches it as `cross_attention_kwargs={"control": control}` of the UNet call. Nothing is remembered between
    calls and a recorded map is assigned by site, never appended, so that recomputation under gradient checkpointing
    is harmless.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        control: Control | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        values = context
        if control is not None and control.values is not None and self.site.kind is Kind.CROSS:
            values = control.values
        own = () if control is None else control.low_rank
        query = self._project(own, Projection.QUERY, layer=attn.to_q, states=hidden_states)
        key = self._project(own, Projection.KEY, layer=attn.to_k, states=context)
        value = self._project(own, Projection.VALUE, layer=attn.to_v, states=values)
        query, key, value = (_split_heads(part, attn.heads) for part in (query, key, value))
        if control is None:
            out = F.scaled_dot_product_attention(query, key, value)
        else:
            out = control.attend(self.site, query, key=key, value=value)
        merged = out.transpose(1, 2).flatten(2).to(hidden_states.dtype)
        return self._project(own, Projection.OUT, layer=attn.to_out[0], states=merged)

    def _project(
        self, own: Sequence[LowRank], projection: Projection, *, layer: Callable[[Tensor], Tensor], states: Tensor
    ) -> Tensor:
        return add_low_rank(own, self.site, projection, states=states, projected=layer(states))

    def check(self, attn: Any) -> None:
        """Refuses a layer this processor would compute differently from diffusers."""
        unusual = [
            name
            for name in ("spatial_norm", "group_norm", "norm_cross", "norm_q", "norm_k", "residual_connection")
            if getattr(attn, name, None)
        ]
        if unusual or attn.rescale_output_factor != 1.0:
            raise ValueError(
                f"{self.site.name} uses {', '.join(unusual) or 'a rescaled output'}: not a SD 1.x/2.x UNet"
            )

    def widths(self, attn: Any) -> dict[str, tuple[int, int]]:
        """Width in and out of the layer's projections, by name."""
        layers = zip(Projection, (attn.to_q, attn.to_k, attn.to_v, attn.to_out[0]), strict=True)
        return {projection_name(self.site, what): (layer.in_features, layer.out_features) for what, layer in layers}


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)  # [n, heads, places, d]
