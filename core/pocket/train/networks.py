"""The architecture: every network of the pocket model, untrained."""

import math
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from core.pocket.backgrounds import SIDE

LATENT_SCALE: Final = 0.18215  # what code for Stable Diffusion multiplies latents by, often as a literal
LATENT_CHANNELS: Final = 4
LATENT_SIDE: Final = 16
PATCH: Final = 8
TEXT_WIDTH: Final = 96  # of the text encoder and the image encoder alike: mapping networks need them equal
_HEADS: Final = 4
_AUTOENCODER_CHANNELS: Final = (16, 32, 48)
_UNET_CHANNELS: Final = (64, 96)


def new_autoencoder() -> Any:
    """64×64 pixels to 16×16×4 latents and back."""
    return AutoencoderKL(  # type: ignore[no-untyped-call]
        down_block_types=("DownEncoderBlock2D",) * len(_AUTOENCODER_CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(_AUTOENCODER_CHANNELS),
        block_out_channels=_AUTOENCODER_CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=LATENT_SCALE,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def new_unet() -> Any:
    """Two levels, 16×16 and 8×8, both with attention: seven cross-attention sites."""
    levels = len(_UNET_CHANNELS)
    return UNet2DConditionModel(  # type: ignore[no-untyped-call]
        sample_size=LATENT_SIDE,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=_UNET_CHANNELS,
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=_HEADS,  # diffusers reads it as the number of heads
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> Any:
    """Three layers: enough to tell which colour belongs to which of two objects."""
    return CLIPTextModel(CLIPTextConfig(**_text_settings(tokenizer)))


def new_clip(tokenizer: CLIPTokenizer) -> Any:
    """Text and image encoders that meet in one space; the image encoder alone gives E(x)."""
    vision = {
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": _HEADS,
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_act": "gelu",
        "projection_dim": 64,
    }
    clip = CLIPModel(CLIPConfig(text_config=_text_settings(tokenizer), vision_config=vision, projection_dim=64))
    clip.logit_scale.data.fill_(math.log(10.0))
    for name, weight in clip.named_parameters():
        if "embedding" in name and weight.ndim > 1:
            weight.data.normal_(0, 0.05)
    return clip


def new_scheduler() -> Any:
    """The noise schedule of Stable Diffusion 1."""
    return DDIMScheduler(  # type: ignore[no-untyped-call]
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def take_over(network: nn.Module, theirs: dict[str, Tensor]) -> int:
    """Copy every weight whose name and shape agree; returns how many did."""
    shared = {
        name: theirs[name]
        for name, own in network.state_dict().items()
        if name in theirs and theirs[name].shape == own.shape
    }
    network.load_state_dict(shared, strict=False)
    return len(shared)


def take_over_text(network: Any, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Copy another model's text encoder."""
    other = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    _take_over_by_word(network, other, tokenizer, theirs=CLIPTokenizer.from_pretrained(folder / "tokenizer"))


def take_over_clip(network: Any, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Copy both encoders of another model's CLIP, and its scale of likeness."""
    other = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32)
    _take_over_by_word(network, other, tokenizer, theirs=CLIPTokenizer.from_pretrained(folder / "tokenizer"))


def _take_over_by_word(network: Any, other: Any, tokenizer: CLIPTokenizer, *, theirs: CLIPTokenizer) -> None:
    """Copy a network that reads text, each word's vector by the word, since tokenizers number words differently."""
    known = theirs.get_vocab()
    take_over(network, {name: one for name, one in other.state_dict().items() if "token_embedding" not in name})
    table, read = (_token_vectors(one) for one in (network, other))
    for word, row in tokenizer.get_vocab().items():
        if word in known:
            table[row] = read[known[word]]


def _token_vectors(network: Any) -> Tensor:
    """The one table of token vectors, [vocabulary, width]."""
    [table] = [weight.data for name, weight in network.named_parameters() if "token_embedding" in name]
    return table  # type: ignore[no-any-return]


def _text_settings(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 3 * TEXT_WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": _HEADS,
        "max_position_embeddings": tokenizer.model_max_length,
        "hidden_act": "gelu",
        "projection_dim": 64,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }


def load_autoencoder(folder: Path) -> Any:
    """The autoencoder kept in a folder, in single precision whatever it is kept in."""
    return AutoencoderKL.from_pretrained(folder, dtype=torch.float32)  # type: ignore[no-untyped-call]


def load_unet(folder: Path) -> Any:
    """The UNet kept in a folder, in single precision whatever it is kept in."""
    return UNet2DConditionModel.from_pretrained(folder, dtype=torch.float32)  # type: ignore[no-untyped-call]
