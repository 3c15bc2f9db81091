"""The true model behind a worker: loaded on the best device, and run once before the first job."""

import torch

from core.settings import Settings
from core.studio import ModelStudio
from core.wiring import build_model, locate_model


def load_studio(settings: Settings) -> ModelStudio:
    """A studio that has already computed something: kernels are chosen, memory is taken.

    Raises:
        Unavailable: the model or its image encoder is not to be found.
    """
    encoder = None if settings.image_encoder is None else locate_model(settings.image_encoder, weights=True)
    locate_model(settings.model, weights=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    studio = ModelStudio.load(build_model(settings), image_encoder=encoder, device=device)
    studio.warm_up()
    return studio
