"""What changes between two prompts, and the sentences made of it."""

import pytest

from core.domain.directions import TAILS, Change, find_change
from core.domain.edit_specs import Pix2PixZeroSpec


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a red circle on grass", "a blue circle on grass", Change("a", "red", "blue", "circle on grass")),
        ("a red circle on grass", "a blue star on grass", Change("a", "red circle", "blue star", "on grass")),
        ("a cat and a cat", "a cat and a dog", Change("a cat and a", "cat", "dog", "")),
        ("a cat", "a cat with a hat", Change("a cat", "", "with a hat", "")),
        ("a cat with a hat", "a cat", Change("a cat", "with a hat", "", "")),
        ("a cat a cat", "a cat", Change("a cat", "a cat", "", "")),
        ("A cat", "a dog", Change("A", "cat", "dog", "")),
        ("", "a dog", Change("", "", "a dog", "")),
        ("a cat", "a cat", Change("a cat", "", "", "")),
    ],
)
def test_a_change_is_what_stands_between_the_words_that_agree(source: str, target: str, expected: Change) -> None:
    assert find_change(source, target, source_phrase=None, target_phrase=None) == expected


def test_a_given_phrase_keeps_the_words_around_it() -> None:
    change = find_change("a red circle on grass", "whatever", source_phrase="circle", target_phrase="star")

    assert change == Change("a red", "circle", "star", "on grass")


def test_a_given_phrase_that_is_not_in_the_prompt_stands_alone() -> None:
    assert find_change("a cat", "a dog", source_phrase="kitten", target_phrase="puppy").before == ""


def test_sentences_begin_as_the_prompt_does_and_end_in_many_ways() -> None:
    sentences = Change("a", "red", "blue", "circle").sentences("blue")

    assert sentences[:3] == ("a blue circle", "a blue", "a blue in a photo")
    assert len(sentences) == len(set(sentences)) == 1 + len(TAILS)


def test_without_words_of_the_callers_the_prompts_themselves_are_among_the_sentences() -> None:
    named = Pix2PixZeroSpec().sentences("a red circle on grass", "a blue circle on grass")

    assert named["source_sentences/0"] == "a red circle on grass"
    assert named["target_sentences/0"] == "a blue circle on grass"
    assert len(named) == 2 * (1 + len(TAILS))


def test_the_callers_sentences_stand_instead() -> None:
    named = Pix2PixZeroSpec(source_sentences=("x", "y"), target_sentences=("z",)).sentences("a", "b")

    assert named == {"source_sentences/0": "x", "source_sentences/1": "y", "target_sentences/0": "z"}


def test_equal_prompts_make_equal_sentences() -> None:
    named = Pix2PixZeroSpec().sentences("a cat", "a cat")
    half = len(named) // 2

    assert list(named.values())[:half] == list(named.values())[half:]
