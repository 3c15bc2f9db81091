"""Training the autoencoder, and giving its latents zero mean and unit variance where diffusers expects it."""

from collections.abc import Mapping
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from core.pocket.backgrounds import SIDE
from core.pocket.train.data import Drawings
from core.pocket.train.loop import Chance

LATENT_SCALE: Final = 0.18215  # what code for Stable Diffusion multiplies latents by, often as a literal
_CHANNELS: Final = (16, 32, 48)
_EDGE_WEIGHT: Final = 0.1  # outlines decide what a shape is
_PRIOR_WEIGHT: Final = 5e-5
_MEASURED: Final = 256
_FOLDED_OVER: Final = 2048


def new_autoencoder() -> Any:
    """An untrained autoencoder: 64×64 pixels to 16×16×4 latents."""
    return AutoencoderKL(  # type: ignore[no-untyped-call]
        down_block_types=("DownEncoderBlock2D",) * len(_CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(_CHANNELS),
        block_out_channels=_CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=LATENT_SCALE,
        mid_block_add_attention=False,
        force_upcast=False,
    )


@final
class AutoencoderTask:
    """The autoencoder as a stage of training."""

    name = "vae"
    learning_rate = 2e-3
    averaging = 0.995

    def __init__(self, drawings: Drawings, held_out: Drawings, *, batch: int, device: str) -> None:
        self.model: Any = new_autoencoder().to(device, memory_format=torch.channels_last)
        self._batch, self._device = batch, device
        self._drawings, self._held_out = drawings, held_out

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = chance.numpy.integers(len(self._drawings), size=self._batch)
        images = self._place(self._drawings.pixels(rows))
        mean, log_variance = self._posterior(images)
        latents = mean + torch.exp(0.5 * log_variance) * chance.normal(mean)
        output = self.model.decode(latents).sample
        error = (output - images).square().mean()
        prior = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        total = error + _EDGE_WEIGHT * _edge_error(output, images) + _PRIOR_WEIGHT * prior
        return total, {"loss": total.detach(), "prior": prior.detach()}

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
def fold_statistics(autoencoder: Any, images: Tensor) -> None:
    """Rescale each latent channel inside the two 1×1 convolutions, so that `LATENT_SCALE` times a latent is standard.

    The autoencoder's output stays what it was.
    """
    parts = [autoencoder.encode(part).latent_dist.mean for part in torch.split(images[:_FOLDED_OVER], 128)]
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
