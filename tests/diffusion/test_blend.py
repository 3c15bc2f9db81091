"""Local blend against published masks and latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from core.diffusion.attention.blend import BlendRule, WordRegions, blend
from core.domain.prompts import Prompt
from tests.reference import arrays, cases, prompt_of

_VALUES = arrays("local_blend")
_CASES = cases("local_blend")
# One threshold serves both kinds of words here; the published code can take two.
_ONE_THRESHOLD = [name for name in _CASES if name != "thresholds"]


def _rule(case: dict[str, Any]) -> BlendRule:
    prompts = [prompt_of(record) for record in case["prompts"]]
    kept = case["substruct_words"] or [[], []]
    source, target = (_places(prompt, words) for prompt, words in zip(prompts, case["words"], strict=True))
    keep_source, keep_target = (_places(prompt, words) for prompt, words in zip(prompts, kept, strict=True))
    return BlendRule(source, target, keep_source, keep_target, threshold=case["thresholds"][0], first=0)


def _places(prompt: Prompt, words: Sequence[str]) -> tuple[int, ...]:
    return tuple(place for word in words if prompt.has(word) for place in prompt.positions(word))


def _word_maps() -> torch.Tensor:
    maps = np.zeros((2, 256, 77))
    maps[:, :, _VALUES["columns"]] = _VALUES["maps"].mean(axis=(0, 2)).reshape(2, 256, -1) / 256
    return torch.from_numpy(maps)


@pytest.mark.parametrize("name", _ONE_THRESHOLD)
def test_the_mask_is_the_published_one(name: str) -> None:
    """With an absent source word the published code compares NaN; its row claims nothing, and so it does here."""
    regions = WordRegions(_rule(_CASES[name]))
    regions.add(_word_maps().float())

    mask = regions.mask(64)

    assert torch.equal(mask, torch.from_numpy(_VALUES[f"{name}.mask"][1]))


@pytest.mark.parametrize("name", _ONE_THRESHOLD)
def test_blended_latents_are_the_published_ones(name: str) -> None:
    source, target = torch.from_numpy(_VALUES["latents"].astype(np.float32)) / 32
    regions = WordRegions(_rule(_CASES[name]))
    regions.add(_word_maps())

    blended = blend(source, target, regions.mask(64))

    assert torch.equal(blended, torch.from_numpy(_VALUES[f"{name}.blended"].astype(np.float32)) / 32)


def test_maps_of_several_timesteps_are_summed() -> None:
    rule = _rule(_CASES["words"])
    first, second = _word_maps(), _word_maps().flip(1)
    apart, together = WordRegions(rule), WordRegions(rule)

    apart.add(first)
    apart.add(second)
    together.add(first + second)

    assert torch.equal(apart.mask(64), together.mask(64))


def test_words_nobody_attends_to_claim_nothing() -> None:
    regions = WordRegions(_rule(_CASES["words"]))
    regions.add(torch.zeros(2, 256, 77))

    assert not regions.mask(64).any()
