"""The true model behind a worker: loaded on the best device, and run once before the first job."""

from pathlib import Path

import numpy as np
import torch

from core.domain.inversion_specs import DdimSpec
from core.domain.specs import Fit
from core.domain.studio import Studio
from core.images import to_png
from core.settings import Settings
from core.studio import ModelStudio
from core.wiring import build_model


def load_studio(settings: Settings) -> Studio:
    """A studio that has already computed something: kernels are chosen, memory is taken."""
    encoder = None if settings.image_encoder is None else Path(settings.image_encoder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    studio = ModelStudio.load(build_model(settings), image_encoder=encoder, device=device)
    side = studio.model.resolution_pixels
    studio.invert(
        to_png(np.zeros((side, side, 3), dtype=np.uint8)),
        "",
        DdimSpec(timesteps=2),
        fit=Fit.CROP,
        seed=0,
        observe=lambda _: None,
        resume=None,
    )
    return studio
