"""The models that the engine is measured on."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from core.domain.catalogue import Model, read_model
from core.pocket.weights import model_path

RANDOM: Final = "sd15-random"
_TOKENS: Final = 77
_WIDTH: Final = 768


@contextmanager
def random_model() -> Iterator[Model]:
    """A model in Stable Diffusion 1.5's shapes with random weights, in a folder that goes with the context.

    Its tokenizer is the packaged one, lengthened to 77 tokens; two gigabytes.
    """
    with TemporaryDirectory(prefix="sd15-random-") as name:
        folder = Path(name)
        torch.manual_seed(0)
        for part, build in (("unet", _unet), ("vae", _autoencoder), ("text_encoder", _text_encoder)):
            build().to(torch.bfloat16).save_pretrained(folder / part)
        vision = CLIPVisionConfig(
            hidden_size=_WIDTH, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16
        )
        CLIPVisionModelWithProjection(vision).save_pretrained(folder / "image_encoder")
        for part in ("tokenizer", "scheduler", "feature_extractor"):
            shutil.copytree(model_path() / part, folder / part)
        shutil.copy(model_path() / "model_index.json", folder)
        _lengthen(folder / "tokenizer" / "tokenizer_config.json")
        yield replace(read_model(folder, name=RANDOM), name=RANDOM)


def _lengthen(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_max_length": _TOKENS}))


def _unet() -> Any:
    return _new(UNet2DConditionModel, sample_size=64, cross_attention_dim=_WIDTH)


def _autoencoder() -> Any:
    return _new(
        AutoencoderKL,
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        sample_size=512,
    )


def _new(kind: Any, **config: Any) -> Any:
    return kind(**config)  # diffusers has no types for its constructors


def _text_encoder() -> Any:
    words = json.loads((model_path() / "tokenizer" / "vocab.json").read_text())
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            bos_token_id=words["<|startoftext|>"],
            eos_token_id=words["<|endoftext|>"],
            max_position_embeddings=_TOKENS,
            hidden_size=_WIDTH,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
        )
    )
