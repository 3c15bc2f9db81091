"""Reading of prompts: tokens as the model's own tokenizer makes them, words by where they stand in the text."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import CLIPTokenizer

from core.domain.errors import ErrorCode, InputError
from core.domain.prompts import Vocabulary
from core.pocket.weights import model_path
from tests.reference import cases, prompt_of

_TOKENIZER = model_path() / "tokenizer"
_SENTENCES = [
    "",
    "a red circle on grass",
    "A Red CIRCLE on Grass",
    "a  red   circle",
    " a red circle ",
    "a\tred\ncircle",
    "a dog, a star.",
    "a dog's star isn't here",
    "we'll say they've 12 stars",
    "the year 2024!",
    "(a circle) [a star] {x}",
    "well... what?!",
    "red-and-blue",
    "a/b\\c_d",
    "café naïve",
    "İstanbul ÄÖÜ",
    "東京 красный",
    "a ☂ on grass",
    "#1 $5 50% & more",
    "e\u0301 combining",
    "zero\u00a0width\u200bspace",
]
_PLACES = cases("word_indices")
# Rules of ours: case and punctuation at the edges of a word do not count.
_FOUND_BY_US = {"case_differs": (2,), "punctuation_attached_not_found": (2, 3, 4, 5)}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(_TOKENIZER)


@pytest.mark.parametrize("sentence", _SENTENCES)
def test_tokens_are_those_of_the_models_own_tokenizer(vocabulary: Vocabulary, sentence: str) -> None:
    theirs = CLIPTokenizer.from_pretrained(_TOKENIZER)(sentence, padding="max_length")

    prompt = vocabulary.parse(sentence)

    assert list(prompt.ids) == theirs["input_ids"]
    assert prompt.end == sum(theirs["attention_mask"]) - 1


@pytest.mark.parametrize("sentence", _SENTENCES)
def test_every_token_belongs_to_one_word(vocabulary: Vocabulary, sentence: str) -> None:
    prompt = vocabulary.parse(sentence)

    assert [place for places in prompt.word_positions for place in places] == list(range(1, prompt.end))
    assert prompt.words == tuple(sentence.split())


@pytest.mark.parametrize("name", [name for name, case in _PLACES.items() if isinstance(case["word"], str)])
def test_a_word_stands_where_the_published_lookup_finds_it(name: str) -> None:
    """Corrected by hand where two spaces or a character of several bytes mislead the published lookup."""
    case = _PLACES[name]
    expected = _FOUND_BY_US.get(name) or tuple(case.get("corrected", case.get("indices", ())))
    prompt = prompt_of(case["prompt"])

    assert prompt.has(case["word"]) == bool(expected)
    if expected:
        assert prompt.positions(case["word"]) == expected


def test_words_are_kept_in_order_with_their_tokens() -> None:
    case = _PLACES["by_position"]
    prompt = prompt_of(case["prompt"])

    assert prompt.word_positions[case["word"]] == tuple(case["indices"])


@pytest.mark.parametrize("word", ["dog", "Dog,", "DOG", '"dog"'])
def test_a_word_is_found_whatever_its_case_and_edge(vocabulary: Vocabulary, word: str) -> None:
    prompt = vocabulary.parse("a Dog, a star")

    assert prompt.positions(word) == prompt.word_positions[1]


def test_a_word_of_punctuation_alone_is_found(vocabulary: Vocabulary) -> None:
    prompt = vocabulary.parse("stars ... and circles")

    assert prompt.positions("...") == prompt.word_positions[1]


def test_an_absent_word_is_refused_by_name(vocabulary: Vocabulary) -> None:
    prompt = vocabulary.parse("a red circle on grass")

    with pytest.raises(InputError, match='"square" does not stand') as caught:
        prompt.positions("square")
    assert caught.value.code is ErrorCode.WORD_NOT_IN_PROMPT


def test_a_prompt_may_fill_the_model_but_not_more(vocabulary: Vocabulary) -> None:
    full = vocabulary.parse("a " * (vocabulary.length - 2))

    assert full.end == vocabulary.length - 1
    with pytest.raises(InputError, match="31 tokens and this model reads 30") as caught:
        vocabulary.parse("a " * (vocabulary.length - 1))
    assert caught.value.code is ErrorCode.PROMPT_TOO_LONG
    assert caught.value.numbers == {"tokens": 31, "max_tokens": 30}


def test_text_that_looks_like_a_marker_is_text(vocabulary: Vocabulary) -> None:
    plain = vocabulary.parse("a star")

    prompt = vocabulary.parse("a star <|endoftext|>")

    assert prompt.ids[prompt.end] == plain.ids[plain.end]
    assert prompt.end > plain.end + 1


@pytest.mark.parametrize("pad", ["!", {"__type": "AddedToken", "content": "!"}])
def test_padding_is_the_models_own_token(tmp_path: Path, pad: Any) -> None:
    """Stable Diffusion 2.x pads with an exclamation mark."""
    folder = _tokenizer_with({"pad_token": pad}, tmp_path / "tokenizer")

    _check_padding_with_exclamation_marks(folder)


def test_the_map_of_special_tokens_has_the_last_word_on_padding(tmp_path: Path) -> None:
    folder = _tokenizer_with({"pad_token": "<|endoftext|>"}, tmp_path / "tokenizer")
    (folder / "special_tokens_map.json").write_text('{"pad_token": "!"}')

    _check_padding_with_exclamation_marks(folder)


def _check_padding_with_exclamation_marks(folder: Path) -> None:
    vocabulary = Vocabulary.load(folder)

    prompt = vocabulary.parse("a star")

    assert set(prompt.ids[prompt.end + 1 :]) == {json.loads((folder / "vocab.json").read_text())["!"]}
    assert list(prompt.ids) == CLIPTokenizer.from_pretrained(folder)("a star", padding="max_length")["input_ids"]


def test_a_vocabulary_without_the_markers_is_refused(tmp_path: Path) -> None:
    folder = _tokenizer_with({"pad_token": "<pad>"}, tmp_path / "tokenizer")

    with pytest.raises(ValueError, match="no '<pad>'"):
        Vocabulary.load(folder)


def _tokenizer_with(settings: dict[str, Any], folder: Path) -> Path:
    shutil.copytree(_TOKENIZER, folder)
    (folder / "tokenizer.json").unlink()
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return folder
