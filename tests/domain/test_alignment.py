"""Alignment of two prompts, against the published mappers where they are right and worked by hand where not."""

from typing import Any

import numpy as np
import numpy.testing as npt
import pytest

from core.domain.alignment import align, align_refinement, align_replacement
from core.domain.edit_parts import CrossRule
from core.domain.errors import ErrorCode, InputError
from tests.reference import arrays, cases, described, prompt_of

_REPLACEMENTS = cases("replacement")
_REFINEMENTS = cases("refinement")


def _pair(case: dict[str, Any], length: int = 77) -> tuple[Any, Any]:
    return prompt_of(case["source"], length=length), prompt_of(case["target"], length=length)


@pytest.mark.parametrize("length", [77, 32])
@pytest.mark.parametrize("name", [name for name, case in _REPLACEMENTS.items() if case["published_equals_corrected"]])
def test_replacement_is_the_published_one(name: str, length: int) -> None:
    alignment = align_replacement(*_pair(_REPLACEMENTS[name], length))

    npt.assert_allclose(alignment.matrix, arrays("replacement")[f"{name}.published_{length}"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [77, 32])
@pytest.mark.parametrize("name", _REPLACEMENTS)
def test_replacement_pairs_the_rest_where_the_published_tail_shifts_it(name: str, length: int) -> None:
    """Defect departed from: behind the last changed word the published mapper sets (j, j) in place of (i, j)."""
    alignment = align_replacement(*_pair(_REPLACEMENTS[name], length))

    npt.assert_allclose(alignment.matrix, arrays("replacement")[f"{name}.corrected_{length}"], rtol=0, atol=1e-12)
    assert (alignment.kept == 1).all()


@pytest.mark.parametrize("case", described("replacement")["refused"], ids=lambda case: case["target"]["text"])
def test_replacement_refuses_different_numbers_of_words(case: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        align(*_pair(case), CrossRule.REPLACE)

    assert caught.value.code is ErrorCode.PROMPTS_NOT_ALIGNED
    assert caught.value.numbers == {
        "source_words": len(case["source"]["text"].split()),
        "target_words": len(case["target"]["text"].split()),
    }


@pytest.mark.parametrize("length", [77, 32])
@pytest.mark.parametrize("name", _REFINEMENTS)
def test_refinement_is_the_published_one_but_for_padding_on_words(name: str, length: int) -> None:
    """Defect departed from: where the target is shorter its first paddings point at the source's last words."""
    source, target = _pair(_REFINEMENTS[name], length)
    mapper = arrays("refinement")[f"{name}.mapper_{length}"].copy()
    kept = arrays("refinement")[f"{name}.alphas_{length}"]
    columns = np.arange(length)
    mapper[(columns > target.end) & (mapper <= source.end)] = source.end + 1
    expected = np.zeros((length, length))
    expected[mapper[kept == 1], columns[kept == 1]] = 1

    alignment = align_refinement(source, target)

    npt.assert_array_equal(alignment.kept, kept)
    npt.assert_array_equal(alignment.matrix * kept, expected)


def test_a_full_source_without_padding_still_aligns() -> None:
    source, target = _pair(_REFINEMENTS["phrase_deleted"], length=9)

    alignment = align_refinement(source, target)

    npt.assert_array_equal(alignment.matrix.sum(0), np.ones(9))


@pytest.mark.parametrize("name", ["pieces_1_to_2", "pieces_2_to_1"])
def test_auto_replaces_prompts_of_equally_many_words(name: str) -> None:
    source, target = _pair(_REPLACEMENTS[name])

    npt.assert_array_equal(align(source, target, CrossRule.AUTO).matrix, align_replacement(source, target).matrix)


def test_auto_refines_prompts_of_different_numbers_of_words() -> None:
    source, target = _pair(_REFINEMENTS["phrase_appended"])

    found, expected = align(source, target, CrossRule.AUTO), align_refinement(source, target)

    npt.assert_array_equal(found.matrix, expected.matrix)
    npt.assert_array_equal(found.kept, expected.kept)


def test_refine_is_taken_when_asked_for_although_replacement_fits() -> None:
    source, target = _pair(_REPLACEMENTS["one_word_same_pieces"])

    assert align(source, target, CrossRule.REFINE).kept.min() == 0


@pytest.mark.parametrize("name", _REPLACEMENTS)
def test_replacement_gives_no_attention_twice(name: str) -> None:
    alignment = align_replacement(*_pair(_REPLACEMENTS[name]))

    assert alignment.matrix.sum(1).max() <= 1 + 1e-12
