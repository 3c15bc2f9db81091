"""One UNet call for several row groups: they are laid side by side, and each gets its own rows back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.diffusion.attention.control import Control, join_carries
from core.diffusion.attention.low_rank import LowRank
from core.diffusion.attention.reroute import join_reroutes
from core.diffusion.attention.sites import Site, SitePredicate
from core.diffusion.placement import Placement, place_groups
from core.diffusion.requests import Denoised, Descend, Descended, Rows


@runtime_checkable
class Predictor(Protocol):
    """The UNet as calls see it; `Backbone` is one."""

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timesteps: Int[Tensor, " n"],
        keys: Float[Tensor, "n tokens width"],
        *,
        control: Control | None,
    ) -> Float[Tensor, "n c h w"]: ...


def denoise_groups(backbone: Predictor, groups: Sequence[Rows]) -> list[Denoised]:
    """The answers of row groups from one call, each with the maps that it records.

    Gradients flow where the caller has them enabled.
    """
    placed = list(zip(place_groups(groups), groups, strict=True))
    control = _control(placed)
    counts = torch.tensor([len(place.brought) for place, _ in placed])
    timesteps = torch.tensor([rows.timestep for rows in groups]).repeat_interleave(counts)
    latents, keys = (_together(placed, part) for part in ("latents", "keys"))
    output = backbone.predict(latents, timesteps, keys, control=control)
    maps = {site: recorded.to(latents.dtype) for site, recorded in control.maps.items()}
    return [
        Denoised(place.taken(output), _recorded(rows, {site: place.taken(one) for site, one in maps.items()}))
        for place, rows in placed
    ]


def descend_groups(backbone: Predictor, requests: Sequence[Descend]) -> list[Descended]:
    """Losses and gradients of several solvers from one forward and at most one backward pass."""
    with torch.enable_grad():
        answers = denoise_groups(backbone, [request.rows() for request in requests])
        losses = [request.loss(answer) for request, answer in zip(requests, answers, strict=True)]
        values = torch.stack([loss.detach() for loss in losses]).tolist()
        enough = [value < request.enough for value, request in zip(values, requests, strict=True)]
        pending = [n for n, done in enumerate(enough) if not done]
        _set_gradients([losses[n] for n in pending], [leaf for n in pending for leaf in requests[n].leaves])
    return [
        Descended(value, answer.output.detach(), enough=done)
        for value, answer, done in zip(values, answers, enough, strict=True)
    ]


def _set_gradients(losses: Sequence[Tensor], leaves: Sequence[Tensor]) -> None:
    """Each leaf's gradient, in place of what it was, so that a call that failed on the way may be repeated.

    A solver's loss reads its own rows only, so the gradient of the sum is each one's own.
    """
    if not losses:
        return
    gradients = torch.autograd.grad(torch.stack(list(losses)).sum(), leaves, allow_unused=True)
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient


def _recorded(rows: Rows, maps: Mapping[Site, Tensor]) -> Mapping[Site, Tensor]:
    """Of the sites that any group of a call records, those of this one."""
    return {site: own for site, own in maps.items() if rows.record is not None and rows.record(site)}


_Placed: TypeAlias = Sequence[tuple[Placement, Rows]]


def _together(placed: _Placed, part: Literal["latents", "keys", "values"]) -> Tensor:
    """A part of all groups, each row once."""
    parts: list[tuple[Placement, Tensor]] = [(place, getattr(rows, part)) for place, rows in placed]
    return torch.cat(
        [one if len(place.brought) == len(one) else one[place.brought.to(one.device)] for place, one in parts]
    )


def _control(placed: _Placed) -> Control:
    total = sum(len(place.brought) for place, _ in placed)
    return Control(
        values=_together(placed, "values"),
        reroutes=join_reroutes([(place.rows, rows.reroutes) for place, rows in placed], total),
        splits=tuple(replace(rows.split, rows=place.rows[rows.split.rows]) for place, rows in placed if rows.split),
        carry=join_carries([(place.rows, rows.carry) for place, rows in placed if rows.carry is not None]),
        features=_features(placed, total),
        low_rank=tuple(LowRank(rows.low_rank, rows=place.rows) for place, rows in placed if rows.low_rank is not None),
        record=_any_of([rows.record for _, rows in placed if rows.record is not None]),
    )


def _any_of(predicates: Sequence[SitePredicate]) -> SitePredicate | None:
    return (lambda site: any(predicate(site) for predicate in predicates)) if predicates else None


def _features(placed: _Placed, total: int) -> Tensor | None:
    if all(rows.features is None for _, rows in placed):
        return None
    taken = torch.arange(total)
    for place, rows in placed:
        if rows.features is not None:
            taken[place.rows] = place.rows[rows.features]
    return taken
