"""What training says of a scene."""

import numpy as np
import torch

from core.pocket.scenes import caption, sample_scene
from core.pocket.train.captions import Said, factors_of, other_pattern, say


def test_a_muted_word_is_false_and_all_others_true() -> None:
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(400):
        scene = sample_scene(rng)
        said = say(scene, rng)
        if said.muted is None:
            continue
        seen += 1
        words = said.text.split()
        false, full = words.pop(said.muted), iter(caption(scene).split())

        assert all(word in full for word in words)
        assert false not in caption(scene).split() or len(scene.objects) == 2

    assert seen > 20


def test_some_captions_are_empty_and_most_are_true() -> None:
    rng = np.random.default_rng(0)
    scene = sample_scene(rng, objects=1)
    said = [say(scene, rng) for _ in range(400)]

    assert 20 <= sum(one.text == "" for one in said) <= 65
    assert 110 <= sum(one.muted is not None for one in said) <= 180


def test_only_the_muted_token_loses_its_weight() -> None:
    factors = factors_of([Said("a red star"), Said("a blue star", muted=1)], tokens=6)
    wanted = torch.ones(2, 6)
    wanted[1, 2] = 0

    assert factors is not None
    assert torch.equal(factors, wanted)


def test_true_captions_need_no_factors() -> None:
    assert factors_of([Said("a red star"), Said("")], tokens=6) is None


def test_the_other_pattern_changes_one_word() -> None:
    assert other_pattern("a red striped star on grass") == ("a red dotted star on grass", 2)
    assert other_pattern("a red star on grass") is None
