"""Prompts as tokens: encoding, and the tokens of a word.

Runs on the `tokenizers` package alone, so that the web process can refuse a bad word without loading a model.
Positions count the start token as 0, as the rows of a text embedding do.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from core.domain.errors import ErrorCode, InputError

_PIECES = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
_EDGE_PUNCTUATION = ".,;:!?\"'()[]{}"


@final
@dataclass(frozen=True, slots=True)
class Prompt:
    """A sentence, its words and its tokens.

    `ids` has the model's full length: start, tokens, end, padding. `word_positions[n]` are the token positions of
    `words[n]`; `end` is the position of the end token.
    """

    text: str
    words: tuple[str, ...]
    word_positions: tuple[tuple[int, ...], ...]
    ids: tuple[int, ...]
    end: int

    def has(self, word: str) -> bool:
        """Whether the word stands in the prompt, by the comparison of `positions`."""
        return _bare(word) in map(_bare, self.words)

    def positions(self, word: str) -> tuple[int, ...]:
        """Token positions of every occurrence of a word, in order.

        Case and punctuation at a word's edges do not count: "dog" finds "Dog,". (The published code compares exactly
        and does nothing, silently, where no word is equal.)

        Raises:
            InputError: WORD_NOT_IN_PROMPT.
        """
        wanted = _bare(word)
        found = [
            position
            for candidate, places in zip(self.words, self.word_positions, strict=True)
            if _bare(candidate) == wanted
            for position in places
        ]
        if not found:
            raise InputError(
                ErrorCode.WORD_NOT_IN_PROMPT,
                f'The word "{word}" does not stand in the prompt "{self.text}"; use one of its words.',
            )
        return tuple(found)


@final
class Vocabulary:
    """A CLIP tokenizer read from `vocab.json` and `merges.txt`; equal to the one the model was trained with."""

    def __init__(self, tokenizer: Tokenizer, *, start: int, end: int, pad: int, length: int) -> None:
        self._tokenizer = tokenizer
        self._start = start
        self._end = end
        self._pad = pad
        self.length = length

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Reads the `tokenizer` folder of a model in diffusers layout."""
        config = json.loads((folder / "tokenizer_config.json").read_text())
        # Suffix and unknown token are CLIP's; merges.txt carries a version line that from_file skips.
        model = models.BPE.from_file(
            str(folder / "vocab.json"),
            str(folder / "merges.txt"),
            end_of_word_suffix="</w>",
            continuing_subword_prefix="",
            unk_token="<|endoftext|>",
        )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True),
            ]
        )
        return cls(
            tokenizer,
            start=_id(tokenizer, "<|startoftext|>"),
            end=_id(tokenizer, "<|endoftext|>"),
            pad=_id(tokenizer, _pad_token(folder, config)),
            length=int(config["model_max_length"]),
        )

    def parse(self, text: str) -> Prompt:
        """Encodes a sentence to the model's full length.

        Raises:
            InputError: PROMPT_TOO_LONG when its tokens, with start and end, do not fit.
        """
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if len(encoding.ids) + 2 > self.length:
            raise InputError(
                ErrorCode.PROMPT_TOO_LONG,
                f"The prompt has {len(encoding.ids)} tokens and this model reads {self.length - 2}; shorten it.",
                tokens=len(encoding.ids),
                max_tokens=self.length - 2,
            )
        ids = [self._start, *encoding.ids, self._end]
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        return Prompt(
            text=text,
            words=tuple(text[first:last] for first, last in spans),
            word_positions=tuple(_within(encoding.offsets, first, last) for first, last in spans),
            ids=(*ids, *[self._pad] * (self.length - len(ids))),
            end=len(ids) - 1,
        )


def _within(offsets: list[tuple[int, int]], first: int, last: int) -> tuple[int, ...]:
    return tuple(n + 1 for n, (start, end) in enumerate(offsets) if start < last and end > first)


def _bare(word: str) -> str:
    return word.strip(_EDGE_PUNCTUATION).casefold() or word


def _pad_token(folder: Path, config: dict[str, Any]) -> str:
    """What `special_tokens_map.json` says wins: Stable Diffusion 2.x names its padding, "!", in that file alone."""
    special = folder / "special_tokens_map.json"
    named = config | (json.loads(special.read_text()) if special.exists() else {})
    pad = named.get("pad_token", "<|endoftext|>")
    return str(pad["content"] if isinstance(pad, dict) else pad)


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no {token!r}: this is not a CLIP tokenizer")
    return found
