"""What an inversion adds to each timestep of sampling, for its own path and for every edit made from it."""

import math
from dataclasses import dataclass, replace
from typing import Protocol, final, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.diffusion.schedule import Schedule, guided
from core.domain.inversion_parts import Correction, Threshold
from core.domain.inversion_specs import InversionSpec, ProximalSpec


@final
@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What the UNet answered for one latent, and what the step is made of besides.

    `unconditional` is None where guidance is 1 and nobody asked for it.
    """

    conditional: Float[Tensor, "c h w"]
    unconditional: Float[Tensor, "c h w"] | None
    guidance: float
    noise: Float[Tensor, "c h w"] | None = None

    def adding(self, noise: Float[Tensor, "c h w"]) -> "Outputs":
        """The same for a step that adds this noise."""
        return replace(self, noise=noise)


@runtime_checkable
class SamplingRule(Protocol):
    """How the next latent comes of a timestep's outputs."""

    def advance(
        self, schedule: Schedule, latent: Float[Tensor, "c h w"], outputs: Outputs, *, index: int
    ) -> Float[Tensor, "c h w"]:
        """The latent after timestep `index` of the schedule."""
        ...


@final
@dataclass(frozen=True, slots=True)
class PlainRule:
    """Guidance and the schedule's step, nothing else."""

    def advance(
        self, schedule: Schedule, latent: Float[Tensor, "c h w"], outputs: Outputs, *, index: int
    ) -> Float[Tensor, "c h w"]:
        output = guided(outputs.unconditional, outputs.conditional, outputs.guidance)
        return schedule.step(latent, output, schedule.timesteps[index], noise=outputs.noise)


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProximalRule:
    """Guidance above a threshold alone, and in the last timesteps the source wherever there is none.

    A quantile of 0 drops nothing and corrects nothing. At guidance 1 there is nothing to drop: the step is plain.
    Source: Han et al. 2023, arXiv 2306.05414, section 3; `Threshold` tells the released code's departures.
    """

    spec: ProximalSpec
    trace: Float[Tensor, "steps c h w"]

    def advance(
        self, schedule: Schedule, latent: Float[Tensor, "c h w"], outputs: Outputs, *, index: int
    ) -> Float[Tensor, "c h w"]:
        if outputs.unconditional is None:
            return PlainRule().advance(schedule, latent, outputs, index=index)
        timestep = schedule.timesteps[index]
        difference, acts = _shrink(self.spec, outputs.conditional - outputs.unconditional)
        output = outputs.unconditional + outputs.guidance * difference
        following = schedule.step(latent, output, timestep)
        first = len(schedule.timesteps) - int(self.spec.correction_window * len(schedule.timesteps))
        if self.spec.quantile == 0.0 or index < first:
            return following
        pull = self.spec.correction_strength * (~_widen(acts, self.spec.dilation)).to(latent)
        match self.spec.correction:
            case Correction.INVERSION:
                return torch.lerp(following, self.trace[-2 - index], pull)
            case Correction.RECONSTRUCTION:
                missing = self.trace[0] - schedule.clean(latent, output, timestep)
                return following + math.sqrt(schedule.alpha(timestep - schedule.stride)) * pull * missing
            case Correction.NONE:
                return following


def load_rule(spec: InversionSpec, trace: Float[Tensor, "steps c h w"]) -> SamplingRule:
    """The sampling rule of an inversion's method."""
    return ProximalRule(spec, trace) if isinstance(spec, ProximalSpec) else PlainRule()


def _shrink(
    spec: ProximalSpec, difference: Float[Tensor, "c h w"]
) -> tuple[Float[Tensor, "c h w"], Bool[Tensor, "c h w"]]:
    """What is left of the difference between the branches, and where it acts."""
    size, published = difference.abs(), spec.threshold is Threshold.PUBLISHED
    counted = torch.cat([torch.zeros_like(size), size]) if published else size
    limit = torch.quantile(counted, spec.quantile) if spec.quantile > 0 else torch.zeros_like(size[0, 0, 0])
    if spec.threshold is Threshold.HARD:
        kept = torch.where(size > limit, difference, torch.zeros_like(difference))
    else:
        kept = difference - difference.clamp(-limit, limit)
    return kept, (kept.abs() if published else size) > limit


def _widen(places: Bool[Tensor, "c h w"], by: int) -> Bool[Tensor, "c h w"]:
    """The places and those up to `by` pixels from one, each channel for itself."""
    return F.max_pool2d(places.float(), 2 * by + 1, stride=1, padding=by) > 0
