"""A frozen Stable Diffusion 1.x or 2.x: the only place that loads models."""

import json
from contextvars import ContextVar
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPVisionModelWithProjection

from core.diffusion.attention.control import Control
from core.diffusion.attention.processor import SiteProcessor
from core.diffusion.attention.sites import parse_sites
from core.diffusion.rowwise import make_rowwise
from core.diffusion.schedule import Schedule
from core.domain.prompts import Prompt, Vocabulary

Rgb = npt.NDArray[np.uint8]

# CLIP's own statistics, for an encoder that comes without a preprocessor file.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@final
class Backbone:
    """The frozen networks of one model on one device, with the attention of its UNet under control.

    Latents, losses and embeddings are float32; the UNet and the autoencoder run in `dtype`.
    """

    def __init__(self, folder: Path, *, image_encoder: Path | None, device: str = "cpu", dtype: torch.dtype) -> None:
        """Loads a folder in diffusers layout.

        Args:
            folder: holds unet, vae, text_encoder, tokenizer, scheduler, and image_encoder unless given apart.
            image_encoder: another folder with a CLIP vision model, its width that of the text.
            device: where the networks live.
            dtype: precision of UNet and autoencoder.

        Raises:
            ValueError: for a model whose attention, noise schedule or widths this code would compute wrongly.
        """
        self.device = torch.device(device)
        self._dtype = dtype
        self._scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        self.vocabulary = Vocabulary.load(folder / "tokenizer")
        self._unet = self._load(UNet2DConditionModel, folder / "unet", dtype)
        if self.device.type == "cpu" and dtype is torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            make_rowwise(self._unet)
        self._vae = self._load(AutoencoderKL, folder / "vae", dtype)
        self._text = self._load(CLIPTextModel, folder / "text_encoder", torch.float32)
        encoder = image_encoder or folder / "image_encoder"
        self._vision = self._load(CLIPVisionModelWithProjection, encoder, torch.float32)
        self._mean, self._std = _normalisation(folder if image_encoder is None else image_encoder)
        self.latent_side = int(self._unet.config.sample_size)
        self.resolution = self.latent_side * 2 ** (len(self._vae.config.block_out_channels) - 1)
        self._features_from: ContextVar[Tensor | None] = ContextVar("features", default=None)
        self._check_widths()
        self.projections: dict[str, tuple[int, int]] = {}  # width in and out, by name
        self._install_processors()
        self._install_features()

    def schedule(self, timesteps: int) -> Schedule:
        """The model's own noise schedule at T timesteps."""
        return Schedule.from_config(self._scheduler, timesteps)

    @torch.no_grad()
    def encode_text(self, prompt: Prompt) -> Float[Tensor, "tokens width"]:
        """The text encoder's last hidden state, after its final layer norm."""
        embedding: Tensor = self._text(torch.tensor([prompt.ids], device=self.device)).last_hidden_state
        return embedding[0]

    @torch.no_grad()
    def encode_image(self, image: Rgb) -> Float[Tensor, "c h w"]:
        """The mean of the autoencoder's posterior, scaled; the image is `resolution` pixels square."""
        posterior = self._vae.encode(self._pixels(image).to(self._dtype)).latent_dist
        latent: Tensor = posterior.mean[0].float() * self._vae.config.scaling_factor
        return latent

    @torch.no_grad()
    def decode(self, latent: Float[Tensor, "c h w"]) -> Rgb:
        """The image of a latent, rounded to 8 bits (the published code truncates)."""
        scaled = latent[None].to(self.device, self._dtype) / self._vae.config.scaling_factor
        pixels = (self._vae.decode(scaled).sample[0].float() / 2 + 0.5).clamp(0, 1)
        image: Rgb = (pixels.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        return image

    @torch.no_grad()
    def image_features(self, image: Rgb) -> Float[Tensor, "image_tokens width"]:
        """E(x): every token of the image encoder's last layer after its final layer norm, without projection.

        Source: Li et al. 2023, arXiv 2303.15649, section 3.2.
        """
        side = self._vision.config.image_size
        resized = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
        unit = torch.from_numpy(resized.copy()).to(self.device).float() / 255
        normal = (unit - self._mean.to(unit)) / self._std.to(unit)
        tower = self._vision.vision_model
        hidden = tower(normal.permute(2, 0, 1)[None]).last_hidden_state
        features: Tensor = tower.post_layernorm(hidden)[0]
        return features

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timesteps: Int[Tensor, " n"],
        keys: Float[Tensor, "n tokens width"],
        *,
        control: Control | None,
    ) -> Float[Tensor, "n c h w"]:
        """One UNet call, answered in the precision of the latents; `control` reaches its layers."""
        if control is not None:
            control = control.to(self.device, self._dtype)
        features = self._features_from.set(None if control is None else control.features)
        try:
            output: Tensor = self._unet(
                latents.to(self.device, self._dtype),
                timesteps.to(self.device),
                encoder_hidden_states=keys.to(self.device, self._dtype),
                cross_attention_kwargs={"control": control},
            ).sample
        finally:
            self._features_from.reset(features)
        return output.to(latents.dtype)

    def _pixels(self, image: Rgb) -> Tensor:
        tensor = torch.from_numpy(image.copy()).to(self.device).float()
        return tensor.permute(2, 0, 1)[None] / 127.5 - 1

    def _load(self, kind: Any, folder: Path, dtype: torch.dtype) -> Any:
        return kind.from_pretrained(folder, dtype=dtype).to(self.device).eval().requires_grad_(False)

    def _check_widths(self) -> None:
        text, image = self._text.config.hidden_size, self._vision.config.hidden_size
        if text != image:
            raise ValueError(
                f"the image encoder's width is {image} and the text's {text}: Stable Diffusion 1.x needs CLIP "
                "ViT-B/16 (768), 2.x a ViT of width 1024; set IMAGE_ENCODER to one that fits"
            )

    def _install_processors(self) -> None:
        levels = len(self._unet.config.block_out_channels)
        sites = parse_sites(self._unet.attn_processors, levels=levels, full_side=self.latent_side)
        processors = {name: SiteProcessor(site) for name, site in sites.items()}
        for name, processor in processors.items():
            layer = self._unet.get_submodule(name.removesuffix(".processor"))
            processor.check(layer)
            self.projections.update(processor.widths(layer))
        self._unet.set_attn_processor(processors)

    def _install_features(self) -> None:
        """Lets rows take the decoder's features from other rows, before the skip connection is added.

        Where Tumanyan et al. 2022, arXiv 2211.12572, inject them: "layer 4", on a quarter of the latent's grid; half
        of it in a UNet of two levels.
        """

        def take(_: Any, __: Any, output: Tensor) -> Tensor:
            rows = self._features_from.get()
            return output if rows is None else output[rows]

        blocks = self._unet.up_blocks
        blocks[len(blocks) // 2 - 1].resnets[1].conv2.register_forward_hook(take)


def _normalisation(folder: Path) -> tuple[Tensor, Tensor]:
    """Mean and deviation the image encoder was trained with."""
    for place in (folder / "feature_extractor", folder):
        file = place / "preprocessor_config.json"
        if file.exists():
            config = json.loads(file.read_text())
            return torch.tensor(config["image_mean"]), torch.tensor(config["image_std"])
    return torch.tensor(_CLIP_MEAN), torch.tensor(_CLIP_STD)
