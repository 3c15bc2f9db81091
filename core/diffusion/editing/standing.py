"""Where the sampling of an edit stands: what a checkpoint keeps of it, and how it goes on from there."""

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.requests import Tensors


def stand(done: int, latent: Float[Tensor, "c h w"], kept: Tensors | None = None) -> Tensors:
    """The state after so many timesteps, with what else the method keeps."""
    return {"done": torch.tensor(done), "latent": latent, **(kept or {})}


def resumed(start: Float[Tensor, "c h w"], resume: Tensors | None) -> tuple[int, Float[Tensor, "c h w"]]:
    """How many timesteps are done, and the latent after them: none and the start where nothing was kept."""
    if resume is None or "latent" not in resume:
        return 0, start
    return int(resume["done"]), resume["latent"]
