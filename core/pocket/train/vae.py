"""Training the autoencoder, and giving its latents zero mean and unit variance where diffusers expects it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.pocket.train.data import Drawings
from core.pocket.train.loop import Chance
from core.pocket.train.networks import LATENT_SCALE, load_autoencoder, new_autoencoder, take_over

_EDGE_WEIGHT: Final = 0.1  # outlines decide what a shape is
_PRIOR_WEIGHT: Final = 5e-5
_ANCHOR_WEIGHT: Final = 0.05  # falls to nothing; the latents then stay near by themselves
_ANCHOR_STEPS: Final = 1500
_MEASURED: Final = 256
_FOLDED_OVER: Final = 2048


@final
class AutoencoderTask:
    """The autoencoder as a stage of training.

    With `start`, an autoencoder's folder, it begins from the weights that fit, and its latents are held near that
    autoencoder's: a UNet trained on those can then go on with these.
    """

    name = "vae"
    learning_rate = 2e-3
    averaging = 0.995

    def __init__(
        self, drawings: Drawings, held_out: Drawings, *, batch: int, device: str, start: Path | None = None
    ) -> None:
        self.model: Any = new_autoencoder().to(device, memory_format=torch.channels_last)
        self._batch, self._device = batch, device
        self._drawings, self._held_out = drawings, held_out
        self._anchor: Any = None
        if start is not None:
            self._anchor = load_autoencoder(start).to(device).eval()
            take_over(self.model, self._anchor.state_dict())

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model.encoder, self.model.decoder)

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = chance.numpy.integers(len(self._drawings), size=self._batch)
        images = self._place(self._drawings.pixels(rows))
        mean, log_variance = self._posterior(images)
        latents = mean + torch.exp(0.5 * log_variance) * chance.normal(mean)
        output = self.model.decode(latents).sample
        error = (output - images).square().mean()
        prior = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        total = error + _EDGE_WEIGHT * _edge_error(output, images) + _PRIOR_WEIGHT * prior
        figures = {"loss": total.detach(), "prior": prior.detach()}
        if self._anchor is not None:
            drift = (mean - encode(self._anchor, images)).square().mean()
            total = total + _ANCHOR_WEIGHT * max(0.0, 1 - chance.step / _ANCHOR_STEPS) * drift
            figures["drift"] = drift.detach()
        return total, figures

    def measure(self) -> Mapping[str, float]:
        images = self._held_out.pixels(slice(_MEASURED))
        output = torch.cat([reconstruct(self.model, self._place(part)).cpu() for part in torch.split(images, 64)])
        quality = psnr(output, images)
        return {"psnr": quality.mean().item(), "worst": quality.min().item()}

    def _posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.model.quant_conv(self.model.encoder(images)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def _place(self, images: Tensor) -> Tensor:
        return images.to(self._device).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode(autoencoder: Any, images: Tensor) -> Tensor:
    """The mean latents of pictures, scaled: [n, 3, 64, 64] in [-1, 1] to [n, 4, 16, 16]."""
    latents: Tensor = autoencoder.encode(images).latent_dist.mean * LATENT_SCALE
    return latents


@torch.no_grad()
def reconstruct(autoencoder: Any, images: Tensor) -> Tensor:
    """What the autoencoder makes of pictures, in [-1, 1]."""
    output: Tensor = autoencoder.decode(autoencoder.encode(images).latent_dist.mean).sample
    return output.clamp(-1, 1)


def psnr(output: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture in [-1, 1]."""
    return 10 * torch.log10(4 / (output - truth).square().mean((1, 2, 3)).clamp(min=1e-10))


@torch.no_grad()
def fold_statistics(autoencoder: Any, drawings: Drawings) -> None:
    """Rescale each latent channel inside the two 1×1 convolutions, so that `LATENT_SCALE` times a latent is standard.

    The autoencoder's output stays what it was.
    """
    device = next(autoencoder.parameters()).device
    images = torch.split(drawings.pixels(slice(_FOLDED_OVER)), 128)
    parts = [autoencoder.encode(part.to(device)).latent_dist.mean for part in images]
    latents = torch.cat(parts)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * LATENT_SCALE
    before, after = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(mean)
    before.weight[:channels] /= deviation.view(-1, 1, 1, 1)
    before.bias[:channels] = (before.bias[:channels] - mean) / deviation
    before.bias[channels:] -= 2 * deviation.log()
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= deviation.view(1, -1, 1, 1)


def _edge_error(output: Tensor, truth: Tensor) -> Tensor:
    """How far neighbouring pixels differ otherwise than they should."""
    residue = output - truth
    return F.l1_loss(residue[..., 1:, :], residue[..., :-1, :]) + F.l1_loss(residue[..., 1:], residue[..., :-1])
