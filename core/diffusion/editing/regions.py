"""The region that an edit is held to, found before anything is sampled."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from core.diffusion.attention.blend import acts_above
from core.diffusion.inversion.inversion import Inversion
from core.domain.edit_parts import Region
from core.domain.prompts import Prompt


def find_region(
    region: Region, inversion: Inversion, source: Prompt, *, mask: npt.NDArray[np.bool_] | None
) -> Bool[Tensor, "h w"]:
    """Where the edit may act, on the latent's grid.

    Args:
        region: what the caller asked for.
        inversion: its word maps tell where each word acts.
        source: the sentence it was made with.
        mask: where the caller's picture is white, in the model's square [side, side], if the region is one. A cell
            that it touches belongs to it, so that the finest line is still edited, or kept.

    Raises:
        InputError: WORD_NOT_IN_PROMPT.
    """
    latent = inversion.trace[0]
    if mask is not None:
        white = torch.from_numpy(mask.copy()).to(latent.device)
        inside = F.adaptive_max_pool2d(white.float()[None], latent.shape[-1])[0] > 0
    else:
        positions = [position for word in region.words for position in source.positions(word)]
        words = inversion.word_maps[:, positions].sum(-1)
        inside = acts_above(words[None], latent.shape[-1], threshold=region.threshold, widen=True)
    return ~inside if region.keep else inside
