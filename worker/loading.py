"""The true model behind a worker: loaded on the best device, and run once before the first job."""

from pathlib import Path

import torch

from core.domain.catalogue import Model
from core.domain.errors import Unavailable
from core.evaluation.quality import Evaluator
from core.settings import Settings
from core.studio import ModelStudio
from core.wiring import build_model, locate_model


def load_studio(settings: Settings) -> ModelStudio:
    """A studio that has already computed something: kernels are chosen, memory is taken.

    Raises:
        Unavailable: the model, its image encoder or a network to measure with is not to be found.
    """
    encoder = _located(settings.image_encoder, "IMAGE_ENCODER")
    locate_model(settings.model, weights=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build_model(settings)
    evaluator = load_evaluator(model, settings, device=device)
    studio = ModelStudio.load(model, image_encoder=encoder, evaluator=evaluator, device=device)
    studio.warm_up()
    return studio


def load_evaluator(model: Model, settings: Settings, *, device: str) -> Evaluator:
    """What measures the model's results, with the published networks that the settings name.

    Raises:
        Unavailable: one of them is not to be found; none stands in for it.
    """
    lpips = settings.lpips_weights
    if lpips is not None and not lpips.is_dir():
        raise Unavailable(f"LPIPS_WEIGHTS={lpips} is no folder.")
    return Evaluator(
        model,
        clip=_located(settings.clip_model, "CLIP_MODEL"),
        dino=_located(settings.dino_model, "DINO_MODEL"),
        lpips=lpips,
        device=device,
    )


def _located(name: str | None, setting: str) -> Path | None:
    return None if name is None else locate_model(name, weights=True, setting=setting)
