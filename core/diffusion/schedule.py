"""The DDIM schedule: forwards, backwards, and with noise of the caller's.

Source: Song et al. 2021, arXiv 2010.02502, eq. 12 with eta = 0, and eta = 1 where noise is given.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor


class Prediction(StrEnum):
    """What the UNet's output means."""

    EPSILON = "epsilon"
    V = "v_prediction"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The noise levels of a trained model and the T timesteps taken through them.

    `timesteps[0]` is the noisiest. `alphas[t]` is the cumulative alpha of training timestep t (float64). With
    `offset` 0 the last timestep is t = 0, whose step is the identity (one call of T is wasted, as in the published
    code); with the usual offset 1 it is not. Inverted latents belong to one offset: never mix.
    """

    alphas: Float[Tensor, " train"]
    timesteps: tuple[int, ...]
    stride: int
    prediction: Prediction

    @classmethod
    def from_config(cls, config: Mapping[str, Any], timesteps: int) -> "Schedule":
        """The schedule of a diffusers `scheduler_config.json`, T timesteps at "leading" spacing."""
        changed = config.get("trained_betas") is not None or config.get("rescale_betas_zero_snr", False)
        if changed or config.get("beta_schedule") != "scaled_linear":
            raise ValueError("only the scaled_linear noise schedule of Stable Diffusion 1.x and 2.x is supported")
        train = int(config.get("num_train_timesteps", 1000))
        if not 1 <= timesteps <= train:
            raise ValueError(f"timesteps must be between 1 and {train}")
        ends = float(config["beta_start"]) ** 0.5, float(config["beta_end"]) ** 0.5
        betas = torch.linspace(*ends, train, dtype=torch.float64) ** 2
        stride = train // timesteps
        offset = int(config.get("steps_offset", 0))
        steps = tuple(n * stride + offset for n in reversed(range(timesteps)))
        return cls((1 - betas).cumprod(0), steps, stride, Prediction(config.get("prediction_type", "epsilon")))

    def alpha(self, timestep: int) -> float:
        """The cumulative alpha, that of timestep 0 for anything before it (`set_alpha_to_one=False`)."""
        return float(self.alphas[max(timestep, 0)])

    def last(self, count: int) -> "Schedule":
        """The same noise levels, of whose timesteps only the last ones are taken."""
        return replace(self, timesteps=self.timesteps[-count:])

    def step(
        self,
        latents: Float[Tensor, "*n c h w"],
        output: Float[Tensor, "*n c h w"],
        timestep: int,
        *,
        noise: Float[Tensor, "*n c h w"] | None = None,
    ) -> Float[Tensor, "*n c h w"]:
        """One timestep towards the image, z_t to z_{t - stride}; with noise it is DDPM's (eta = 1)."""
        there = timestep - self.stride
        if noise is None:
            return self._move(latents, output, here=timestep, there=there)
        sigma, alpha = self.sigma(timestep), self.alpha(there)
        clean, predicted = self._parts(latents, output, here=timestep)
        return math.sqrt(alpha) * clean + math.sqrt(1 - alpha - sigma**2) * predicted + sigma * noise

    def sigma(self, timestep: int) -> float:
        """The deviation of the noise that a DDPM step adds (eq. 16 with eta = 1); 0 for a step that is idle."""
        here, there = self.alpha(timestep), self.alpha(timestep - self.stride)
        return math.sqrt((1 - there) / (1 - here) * (1 - here / there))

    def clean(
        self, latents: Float[Tensor, "*n c h w"], output: Float[Tensor, "*n c h w"], timestep: int
    ) -> Float[Tensor, "*n c h w"]:
        """The image's latent as the UNet's output predicts it."""
        return self._parts(latents, output, here=timestep)[0]

    def invert(
        self,
        latents: Float[Tensor, "*n c h w"],
        output: Float[Tensor, "*n c h w"],
        timestep: int,
        *,
        settle: Callable[[Tensor], Tensor] | None = None,
    ) -> Float[Tensor, "*n c h w"]:
        """One timestep towards the noise: z_{t - stride} to z_t.

        The UNet is told the target timestep t although the latent is one stride below, as in every published
        implementation. `settle` puts other noise in the place of what the output predicts.
        """
        here = timestep - self.stride
        if settle is None:
            return self._move(latents, output, here=here, there=timestep)
        noise = settle(self._parts(latents, output, here=here)[1])
        clean = (latents - math.sqrt(1 - self.alpha(here)) * noise) / math.sqrt(self.alpha(here))
        return self.noised(clean, noise, timestep)

    def noised(
        self, latents: Float[Tensor, "*n c h w"], noise: Float[Tensor, "*n c h w"], timestep: int
    ) -> Float[Tensor, "*n c h w"]:
        """A clean latent at the noise level of a timestep."""
        alpha = self.alpha(timestep)
        return math.sqrt(alpha) * latents + math.sqrt(1 - alpha) * noise

    def answer(
        self, latents: Float[Tensor, "*n c h w"], noise: Float[Tensor, "*n c h w"], timestep: int
    ) -> Float[Tensor, "*n c h w"]:
        """What the UNet is trained to answer for a clean latent under this noise."""
        if self.prediction is Prediction.V:
            alpha = self.alpha(timestep)
            return math.sqrt(alpha) * noise - math.sqrt(1 - alpha) * latents
        return noise

    def _move(self, latents: Tensor, output: Tensor, *, here: int, there: int) -> Tensor:
        clean, noise = self._parts(latents, output, here=here)
        return math.sqrt(self.alpha(there)) * clean + math.sqrt(1 - self.alpha(there)) * noise

    def _parts(self, latents: Tensor, output: Tensor, *, here: int) -> tuple[Tensor, Tensor]:
        """The image and the noise that an output predicts."""
        signal, sigma = math.sqrt(self.alpha(here)), math.sqrt(1 - self.alpha(here))
        if self.prediction is Prediction.V:
            return signal * latents - sigma * output, signal * output + sigma * latents
        return (latents - sigma * output) / signal, output


def guided(
    unconditional: Float[Tensor, "*n c h w"] | None, conditional: Float[Tensor, "*n c h w"], guidance: float
) -> Float[Tensor, "*n c h w"]:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598).

    The unconditional output is None where nobody asked for it, since at guidance 1 it has no weight.
    """
    if unconditional is None:
        return conditional
    return unconditional + guidance * (conditional - unconditional)
