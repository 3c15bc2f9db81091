"""A random Stable Diffusion small enough for a test, and predictors to watch or stand in for its UNet."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from core.diffusion.attention.control import Control
from core.diffusion.backbone import Backbone
from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.driver import drive
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Answer, Denoise, Descend, Reached, Result, Solver, Tensors
from core.pocket.weights import model_path

_WIDTH = 16
_VAE = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
_SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
_TOKENIZER = model_path() / "tokenizer"
_UNET = {
    "sample_size": 16,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": _WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}


def save_tiny_model(folder: Path, unet: Mapping[str, Any] | None = None, *, image_width: int = _WIDTH) -> Path:
    """Writes a model in diffusers layout; `unet` changes its UNet's configuration."""
    torch.manual_seed(0)
    network = _new(UNet2DConditionModel, {**_UNET, **(unet or {})})
    for name, weight in network.named_parameters():
        if "to_q" in name or "to_k" in name:
            nn.init.normal_(weight, std=0.3)  # so that attention is far from uniform
    network.save_pretrained(folder / "unet")
    _new(AutoencoderKL, _VAE).save_pretrained(folder / "vae")
    layers: dict[str, Any] = {"intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    words: dict[str, int] = json.loads((_TOKENIZER / "vocab.json").read_text())
    text = CLIPTextConfig(
        vocab_size=len(words),
        bos_token_id=words["<|startoftext|>"],
        eos_token_id=words["<|endoftext|>"],
        max_position_embeddings=32,
        hidden_size=_WIDTH,
        **layers,
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    vision = CLIPVisionConfig(image_size=32, patch_size=16, hidden_size=image_width, **layers)
    CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(_SCHEDULER))
    shutil.copytree(_TOKENIZER, folder / "tokenizer")
    return folder


def tiny_subject(backbone: Backbone, sentence: str = "a red circle on grass") -> Subject:
    """A random picture with a sentence, in float64."""
    generator = torch.Generator().manual_seed(1)
    return Subject(
        latent=torch.randn(4, 16, 16, generator=generator, dtype=torch.float64),
        source=text_of(backbone, sentence),
        null=text_of(backbone, ""),
        features=torch.randn(5, _WIDTH, generator=generator, dtype=torch.float64),
    )


def text_of(backbone: Backbone, sentence: str) -> Tensor:
    """A sentence's embedding in float64."""
    return backbone.encode_text(backbone.vocabulary.parse(sentence)).double()


@final
class Watched:
    """A predictor that notes the latents of each call, their number, and whether it was made for a gradient."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.rows: list[int] = []
        self.descents: list[bool] = []
        self.latents: list[Tensor] = []
        self.controls: list[Control] = []

    def predict(self, latents: Tensor, timesteps: Tensor, keys: Tensor, *, control: Control | None) -> Tensor:
        self.rows.append(len(latents))
        self.descents.append(torch.is_grad_enabled())
        self.latents.append(latents)
        if control is not None:
            self.controls.append(control)
        return self._predictor.predict(latents, timesteps, keys, control=control)


def losses_of(solver: Solver[Result], predictor: Predictor) -> tuple[Result, list[list[float]]]:
    """A solver's result, and the losses of each of its inner steps by timestep."""
    losses: list[list[float]] = [[]]
    answer: Answer = None
    while True:
        try:
            request = solver.send(answer)
        except StopIteration as stop:
            return stop.value, [row for row in losses if row]
        match request:
            case Denoise():
                with torch.no_grad():
                    (answer,) = denoise_groups(predictor, [request.rows])
            case Descend():
                (descended,) = descend_groups(predictor, [request])
                losses[-1].append(descended.loss)
                answer = descended
            case Reached():
                losses.append([])
                answer = None


def states_of(solver: Solver[Any], predictor: Predictor) -> list[Tensors]:
    """The state at every timestep at which a solver has one, as a file would hold it."""
    states: list[Tensors] = []

    def observe(reached: Reached) -> None:
        if reached.state is not None:
            states.append(load(save({name: tensor.contiguous() for name, tensor in reached.state().items()})))

    drive(solver, predictor, observe)
    return states


def _new(kind: Any, config: Mapping[str, Any]) -> Any:
    return kind(**config)  # diffusers has no types for its constructors
