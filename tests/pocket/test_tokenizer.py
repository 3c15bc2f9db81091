"""The tokenizer that training makes and the one that is packaged."""

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from core.pocket.scenes import VALUES, Style
from core.pocket.train.tokenizer import make_tokenizer, save_tokenizer, world_words
from core.pocket.weights import model_path

WORDS_OF_CAPTIONS = ["a", "of", "and", "on", "empty"] + [
    value for kind in VALUES.values() for value in kind if value is not Style.NONE
]


@pytest.fixture(scope="module", params=["made", "packaged"])
def tokenizer(request: pytest.FixtureRequest) -> CLIPTokenizer:
    return make_tokenizer() if request.param == "made" else CLIPTokenizer.from_pretrained(model_path() / "tokenizer")


@pytest.mark.parametrize("word", WORDS_OF_CAPTIONS)
def test_every_word_of_a_caption_is_one_token(tokenizer: CLIPTokenizer, word: str) -> None:
    assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_spare_words_are_one_token_too() -> None:
    tokenizer = make_tokenizer()

    assert [word for word in world_words() if len(tokenizer.tokenize(word)) > 1] == []


def test_any_other_text_falls_to_bytes(tokenizer: CLIPTokenizer) -> None:
    text = "a zebra, ümlaut & 猫"
    numbers = tokenizer(text).input_ids

    assert tokenizer.unk_token_id not in numbers[1:-1]
    assert len(numbers) > len(text.split()) + 2


def test_prompts_are_padded_to_thirty_two(tokenizer: CLIPTokenizer) -> None:
    long = tokenizer("a red star and " * 20, padding="max_length", truncation=True).input_ids
    short = tokenizer("", padding="max_length", truncation=True).input_ids

    assert (len(long), len(short)) == (32, 32)
    assert short == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 31


def test_a_saved_tokenizer_reads_the_same(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, tmp_path)
    text = "a large striped heart and a dog on snow!"

    assert CLIPTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer(text).input_ids
    assert {"vocab.json", "merges.txt", "tokenizer.json"} <= {file.name for file in tmp_path.iterdir()}
