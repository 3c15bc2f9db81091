"""An inversion: the trace, the conditioning, and the path that the conditioning really samples."""

from dataclasses import dataclass, field
from typing import final

from jaxtyping import Float
from torch import Tensor

from core.diffusion.conditioning import Conditioning
from core.diffusion.inversion.sampling_rules import PlainRule, SamplingRule


@final
@dataclass(frozen=True, slots=True, eq=False)
class Inversion:
    """The one type every method returns and every editor takes.

    `trace[0]` is the image's latent and its last entry noise; `path[0]` is where sampling starts and its last entry the
    reconstruction. Both have T + 1 entries, or fewer where a method starts below the noisiest timestep: sampling then
    takes the schedule's last timesteps, and an index counts from the path's start. `losses` are the last ones of each
    optimised timestep.
    """

    conditioning: Conditioning
    trace: Float[Tensor, "steps c h w"]
    path: Float[Tensor, "steps c h w"]
    word_maps: Float[Tensor, "pixels tokens"]
    losses: tuple[float, ...] = ()
    rule: SamplingRule = field(default_factory=PlainRule)
