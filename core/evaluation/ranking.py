"""Which of several results of one edit is best, by what was measured of each.

score = 2 s k / (s + k), the harmonic mean of success s and keeping k, both 0…1:

- s: how far `clip_score` rose above `clip_score_unedited`, as a share of the largest rise among the candidates; 0
  where it fell.
- k: the mean of `background_ssim` (0 where nothing was left unchanged) and of 1 - `structure_distance` as a share of
  the largest among the candidates; without a network for the second, the first alone.

A result that changed nothing has s = 0, one that kept nothing k = 0, and neither can win by the other half alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

FORMULA: Final = "2 s k / (s + k); s: rise of clip_score above clip_score_unedited, k: background_ssim and structure"

Values = Mapping[str, Any]


def score(qualities: Sequence[Values]) -> list[float] | None:
    """The score of each, in the same order; None where nothing tells success, for want of a CLIP.

    Args:
        qualities: `Quality.as_json` of every candidate.
    """
    if not all({"clip_score", "clip_score_unedited"} <= quality.keys() for quality in qualities):
        return None
    rises = [quality["clip_score"] - quality["clip_score_unedited"] for quality in qualities]
    largest = max(rises)
    successes = [max(rise, 0.0) / largest if largest > 0 else 0.0 for rise in rises]
    return [_harmonic_mean(*pair) for pair in zip(successes, _keepings(qualities), strict=True)]


def _keepings(qualities: Sequence[Values]) -> list[float]:
    backgrounds = [max(quality.get("background_ssim", 0.0), 0.0) for quality in qualities]
    if not all("structure_distance" in quality for quality in qualities):
        return backgrounds
    distances = [quality["structure_distance"] for quality in qualities]
    largest = max(distances) or 1.0  # all 0: every structure is kept
    return [(one + 1 - far / largest) / 2 for one, far in zip(backgrounds, distances, strict=True)]


def _harmonic_mean(success: float, keeping: float) -> float:
    both = success + keeping
    return 2 * success * keeping / both if both > 0 else 0.0
