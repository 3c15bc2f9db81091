"""Local blend: outside the region where the edited words act, the source's latents stand.

Source: Hertz et al. 2022, arXiv 2208.01626, section 3.2, as published with null-text inversion.
"""

from dataclasses import dataclass, field
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@final
@dataclass(frozen=True, slots=True)
class BlendRule:
    """Which tokens make the region, and when blending begins.

    `source` and `target` are token positions in the respective prompt; `keep_source` and `keep_target` those whose
    region stays the source's. Blending begins at timestep `first`, counted from 0.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    keep_source: tuple[int, ...]
    keep_target: tuple[int, ...]
    threshold: float
    first: int


@final
@dataclass(slots=True)
class WordRegions:
    """The word maps of source and target summed over the timesteps so far.

    Maps are those after editing, as in the published code, whose store holds views of the tensors that are edited in
    place: the target's region includes what was injected and reweighted.
    """

    rule: BlendRule
    changed: Tensor = field(default_factory=lambda: torch.zeros(()))  # from the first `add` on [2, pixels]
    kept: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, word_maps: Float[Tensor, "2 pixels tokens"]) -> None:
        """Adds one timestep's mean maps of the source row and the target row."""
        rule = self.rule
        source, target = word_maps
        self.changed = self.changed + torch.stack([_of(source, rule.source), _of(target, rule.target)])
        self.kept = self.kept + torch.stack([_of(source, rule.keep_source), _of(target, rule.keep_target)])

    def tensors(self) -> dict[str, Tensor]:
        """What has been added, for a checkpoint."""
        return {"words.changed": self.changed, "words.kept": self.kept}

    def load(self, state: dict[str, Tensor]) -> None:
        """Goes on from what `tensors` gave."""
        self.changed, self.kept = state["words.changed"], state["words.kept"]

    def mask(self, side: int) -> Bool[Tensor, "side side"]:
        """Where the edit may act, on a latent of this side.

        The changed words' maps are widened by a 3x3 maximum, the kept words' are not.
        """
        region = acts_above(self.changed, side, threshold=self.rule.threshold, widen=True)
        if self.rule.keep_source or self.rule.keep_target:
            region = region & ~acts_above(self.kept, side, threshold=self.rule.threshold, widen=False)
        return region


def blend(
    source: Float[Tensor, "c side side"], target: Float[Tensor, "c side side"], mask: Bool[Tensor, "side side"]
) -> Float[Tensor, "c side side"]:
    """The target inside the mask, the source outside, bit for bit."""
    return torch.where(mask, target, source)


def _of(word_map: Tensor, positions: tuple[int, ...]) -> Tensor:
    return word_map[:, list(positions)].sum(-1)


def acts_above(
    maps: Float[Tensor, "n pixels"], side: int, *, threshold: float, widen: bool
) -> Bool[Tensor, "side side"]:
    """Where any of the maps passes the threshold, a share of its own maximum; widened by a 3x3 maximum before."""
    grid = int(maps.shape[-1] ** 0.5)
    square = maps.view(len(maps), 1, grid, grid)
    if widen:
        square = F.max_pool2d(square, 3, stride=1, padding=1)
    square = F.interpolate(square, size=(side, side))
    # A row without words has no maximum; it claims nothing.
    share = square / square.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(square.dtype).tiny)
    return (share > threshold).any(0)[0]
