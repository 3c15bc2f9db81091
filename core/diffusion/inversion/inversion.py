"""An inversion: the trace, the conditioning, and the path that the conditioning really samples."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from core.diffusion.conditioning import Conditioning


@final
@dataclass(frozen=True, slots=True, eq=False)
class Inversion:
    """The one type every method returns and every editor takes.

    `trace[0]` is the image's latent and `trace[T]` its noise; `path[0]` is where sampling starts and `path[T]` the
    reconstruction. `losses` are the last ones of each optimised timestep.
    """

    conditioning: Conditioning
    trace: Float[Tensor, "steps c h w"]
    path: Float[Tensor, "steps c h w"]
    word_maps: Float[Tensor, "pixels tokens"]
    losses: tuple[float, ...] = ()
