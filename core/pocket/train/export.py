"""Putting the trained parts into the layout of a diffusers pipeline, in half precision."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPTokenizer, CLIPVisionModelWithProjection

from core.domain.catalogue import CARD
from core.pocket.backgrounds import SIDE
from core.pocket.judge import JudgeNet
from core.pocket.train.networks import (
    load_autoencoder,
    new_clip,
    new_scheduler,
    new_text_encoder,
    new_unet,
    take_over_clip,
)
from core.pocket.train.tokenizer import caption_words, save_tokenizer

_GUIDANCE: Final = 3.0  # more deforms objects, less forgets words
_NOTICE: Final = (
    "The pocket model was trained on drawn scenes alone (coloured shapes on plain backgrounds); photographs are "
    "outside its world. Set MODEL to a Stable Diffusion 1.x or 2.x model to edit them."
)


def averaged(checkpoint: Path, part: str = "") -> dict[str, Tensor]:
    """The averaged weights in a stage's checkpoint, finished or not; of one part of it, where it trains several."""
    weights: dict[str, Tensor] = torch.load(checkpoint, weights_only=True)["average"]
    prefix = f"{part}." if part else ""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def export_judge(checkpoint: Path, file: Path) -> None:
    """Write the judge's averaged weights."""
    net = JudgeNet()
    net.load_state_dict(averaged(checkpoint))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(net.half().state_dict(), file)


def export_model(work: Path, tokenizer: CLIPTokenizer, folder: Path, *, start: Path | None = None) -> None:
    """Write the pipeline, with the image encoder, and the whole CLIP beside it.

    An autoencoder or CLIP that was not trained in `work` is that of the model the training began from.
    """
    clip = new_clip(tokenizer)
    if start is not None and not (work / "clip.pt").exists():
        take_over_clip(clip, tokenizer, start)
    else:
        clip.load_state_dict(averaged(work / "clip.pt", "clip"))
    vision = CLIPVisionModelWithProjection(clip.config.vision_config)
    vision.load_state_dict(
        {name: value for name, value in clip.state_dict().items() if name.startswith(("vision_model", "visual_proj"))}
    )
    unet, text = new_unet(), new_text_encoder(tokenizer)
    unet.load_state_dict(averaged(work / "unet.pt", "unet"))
    text.load_state_dict(averaged(work / "unet.pt", "text"))
    pipeline: Any = StableDiffusionPipeline(  # type: ignore[no-untyped-call]
        vae=load_autoencoder(trained_autoencoder(work, start)),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        requires_safety_checker=False,
        feature_extractor=_feature_extractor(),
        image_encoder=vision,
    )
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(folder)
    clip.half().save_pretrained(folder / "clip")
    save_tokenizer(tokenizer, folder / "tokenizer")
    _forget_origin(folder)
    (folder / CARD).write_text(json.dumps(_card(), indent=2) + "\n", encoding="utf-8")


def trained_autoencoder(work: Path, start: Path | None) -> Path:
    """The folder of the autoencoder that is trained already."""
    return work / "vae" if start is None or (work / "vae").exists() else start / "vae"


def _forget_origin(folder: Path) -> None:
    """Take out of every config the path that its network was loaded from."""
    for file in [*folder.rglob("config.json"), folder / "model_index.json"]:
        config = json.loads(file.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _card() -> dict[str, Any]:
    """What the layout has no place for, as `core.domain.catalogue` reads it."""
    return {
        "name": "pocket",
        "defaults": {"guidance": _GUIDANCE},
        "known_words": sorted(caption_words()),
        "notice": _NOTICE,
    }


def _feature_extractor() -> Any:
    """Pictures of any size to 64×64 in [-1, 1], as the autoencoder wants them too."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
