"""The tokenizer: every word of the drawn world is one token, any other text falls to bytes."""

import json
from collections import Counter
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Final

from transformers import CLIPTokenizer

from core.pocket.scenes import VALUES, Style, Texture

# Half of Stable Diffusion's 77: no caption needs more than 18, and every token costs time.
LONGEST: Final = 32
WORD_END: Final = "</w>"
START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"

_GLUE: Final = ("a", "of", "on", "and", "empty")
# Ordinary words that captions never say, so that a prompt about something else keeps one token a word.
_SPARE: Final = (
    "an the in at with plain big tiny pink brown gray grey gold silver ring diamond oval moon sun tree flower house "
    "cat dog bird fish horse ball box cup car boat man woman child drawing painting picture image style forest beach "
    "street stone metal glass"
)


def caption_words() -> tuple[str, ...]:
    """Every word a caption can hold."""
    values = [str(value) for kind in VALUES.values() for value in kind if value not in (Style.NONE, Texture.PLAIN)]
    return (*_GLUE, *values)


def world_words() -> tuple[str, ...]:
    """Every word that is one token: those of captions and the spare ones."""
    return (*caption_words(), *_SPARE.split())


def make_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer whose merges are learned from the list of words until each is one token."""
    alphabet = _byte_letters()
    merges = _learn_merges(world_words())
    tokens = [*alphabet, *(letter + WORD_END for letter in alphabet), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LONGEST)  # type: ignore[arg-type]


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write it in the new form and in the older two files, which other readers of CLIP tokenizers want."""
    tokenizer.save_pretrained(folder)
    vocabulary = dict(sorted(tokenizer.get_vocab().items(), key=itemgetter(1)))
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = [" ".join(pair) for pair in _learn_merges(world_words())]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]))


def _byte_letters() -> list[str]:
    """A printable letter for each of the 256 bytes, in the order of OpenAI's byte-level tokenizers."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(hidden))]


def _learn_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte-pair encoding's own learning: join the commonest pair, again and again, until no word has two parts."""
    pieces = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for parts in pieces for pair in pairwise(parts)):
        best = max(sorted(pairs), key=pairs.__getitem__)
        merges.append(best)
        pieces = [_join(parts, best) for parts in pieces]
    return merges


def _join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined
