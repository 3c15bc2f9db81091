"""The best of several results did what was asked and kept the rest."""

from typing import Any

import pytest

from core.evaluation.ranking import score


def quality(rise: float, background: float | None, structure: float | None) -> dict[str, Any]:
    """What was measured of one result."""
    values = {"clip_score": 20 + rise, "clip_score_unedited": 20.0, "basis": {}}
    if background is not None:
        values["background_ssim"] = background
    return values if structure is None else {**values, "structure_distance": structure}


NOTHING = quality(0.0, 1.0, 0.0)
RUIN = quality(5.0, 0.0, 0.1)
GOOD = quality(4.0, 0.9, 0.02)


def test_neither_doing_nothing_nor_ruining_all_wins() -> None:
    assert score([NOTHING, RUIN, GOOD]) == [0.0, 0.0, pytest.approx(2 * 0.8 * 0.85 / 1.65)]


def test_of_equal_success_the_one_that_keeps_more_is_better() -> None:
    kept, lost = score([quality(5.0, 0.9, 0.02), quality(5.0, 0.7, 0.05)]) or [0.0, 0.0]

    assert kept > lost


def test_of_equal_keeping_the_one_that_shows_more_is_better() -> None:
    more, less = score([quality(5.0, 0.9, 0.02), quality(3.0, 0.9, 0.02)]) or [0.0, 0.0]

    assert more > less


def test_where_none_succeeds_none_is_better() -> None:
    assert score([quality(-1.0, 0.9, 0.02), quality(-3.0, 0.9, 0.0)]) == [0.0, 0.0]


def test_a_background_of_nothing_was_not_kept() -> None:
    assert score([quality(5.0, None, 0.1)]) == [0.0]


def test_without_a_network_for_structure_the_background_alone_counts() -> None:
    assert score([quality(4.0, 0.5, None), quality(8.0, 0.5, 0.1)]) == [0.5, pytest.approx(2 / 3)]


def test_without_a_clip_there_is_no_score() -> None:
    assert score([{"background_ssim": 0.9, "structure_distance": 0.1}]) is None
