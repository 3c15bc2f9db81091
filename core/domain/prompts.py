"""Prompts as tokens: encoding, the tokens of a word, and the alignment of two prompts.

Runs on the `tokenizers` package alone, so that the web process can refuse a bad word without loading a model.
Positions count the start token as 0, as the rows of a text embedding do.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from core.domain.errors import ErrorCode, InputError
from core.domain.specs import CrossRule

Array = npt.NDArray[np.float64]

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
        pad = config.get("pad_token", "<|endoftext|>")
        pad_text = pad["content"] if isinstance(pad, dict) else pad
        return cls(
            tokenizer,
            start=_id(tokenizer, "<|startoftext|>"),
            end=_id(tokenizer, "<|endoftext|>"),
            pad=_id(tokenizer, pad_text),
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


@final
@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How the source's tokens answer to the target's.

    `matrix[s, t]` is the share of source token s's attention that target token t takes over; `kept[t]` is 1 where the
    target takes the source's attention at all and 0 where it keeps its own. Both float64, [length, length], [length].
    """

    matrix: Array
    kept: Array


def align(source: Prompt, target: Prompt, rule: CrossRule) -> Alignment:
    """The alignment a cross-attention rule asks for.

    Raises:
        InputError: PROMPTS_NOT_ALIGNED when `replace` is asked for prompts with different numbers of words.
    """
    same_length = len(source.words) == len(target.words)
    if rule is CrossRule.REFINE or (rule is CrossRule.AUTO and not same_length):
        return align_refinement(source, target)
    if not same_length:
        raise InputError(
            ErrorCode.PROMPTS_NOT_ALIGNED,
            f'cross_rule "replace" needs prompts with equally many words; they have {len(source.words)} and '
            f'{len(target.words)}. Use "refine" or "auto".',
            source_words=len(source.words),
            target_words=len(target.words),
        )
    return align_replacement(source, target)


def align_replacement(source: Prompt, target: Prompt) -> Alignment:
    """Word n of the source answers to word n of the target.

    Where the two words have equally many tokens these are paired in order; otherwise each target token takes an equal
    share of every source token. End and padding follow, paired from the end token on.

    Departs from the published mapper, whose tail repeats the target's index on both sides and so shifts the rest of
    the prompt where a word changes its number of tokens.
    Source: Hertz et al. 2022, arXiv 2208.01626, "word swap".
    """
    length = len(source.ids)
    matrix = np.zeros((length, length))
    matrix[0, 0] = 1.0
    for ours, theirs in zip(source.word_positions, target.word_positions, strict=True):
        if len(ours) == len(theirs):
            matrix[list(ours), list(theirs)] = 1.0
        else:
            matrix[np.ix_(ours, theirs)] = 1.0 / len(theirs)
    rest = length - max(source.end, target.end)
    matrix[source.end + np.arange(rest), target.end + np.arange(rest)] = 1.0
    # The longer prompt's tail is shorter; the target's spare padding takes the source's last token.
    matrix[length - 1, target.end + rest :] = 1.0
    return Alignment(matrix, np.ones(length))


def align_refinement(source: Prompt, target: Prompt) -> Alignment:
    """Equal tokens answer to each other, new ones keep their own attention.

    Needleman-Wunsch over token ids with match +1, mismatch -1 and free gaps; of equal scores an insertion is taken
    before a deletion and that before a pair. A mismatch never pays, so a replaced word counts as inserted.
    Source: Hertz et al. 2022, arXiv 2208.01626, "adding a new phrase".
    """
    length = len(source.ids)
    ours, theirs = source.ids[: source.end + 1], target.ids[: target.end + 1]
    matrix = np.zeros((length, length))
    kept = np.ones(length)
    for column, row in enumerate(_needleman_wunsch(ours, theirs)):
        if row is None:
            kept[column] = 0.0
        else:
            matrix[row, column] = 1.0
    for offset, column in enumerate(range(len(theirs), length)):
        matrix[min(len(ours) + offset, length - 1), column] = 1.0
    return Alignment(matrix, kept)


def _needleman_wunsch(source: tuple[int, ...], target: tuple[int, ...]) -> list[int | None]:
    """For every target token the position of its partner in the source, or None."""
    score = np.zeros((len(source) + 1, len(target) + 1))
    move = np.zeros(score.shape, dtype=np.int8)  # 1 insert, 2 delete, 3 pair
    move[0, 1:], move[1:, 0] = 1, 2
    for i, ours in enumerate(source, start=1):
        for j, theirs in enumerate(target, start=1):
            options = (score[i, j - 1], score[i - 1, j], score[i - 1, j - 1] + (1 if ours == theirs else -1))
            best = max(options)
            score[i, j], move[i, j] = best, 1 + options.index(best)
    partners: list[int | None] = [None] * len(target)
    i, j = len(source), len(target)
    while i or j:
        match move[i, j]:
            case 1:
                j -= 1
            case 2:
                i -= 1
            case _:
                i, j = i - 1, j - 1
                partners[j] = i
    return partners


def _within(offsets: list[tuple[int, int]], first: int, last: int) -> tuple[int, ...]:
    return tuple(n + 1 for n, (start, end) in enumerate(offsets) if start < last and end > first)


def _bare(word: str) -> str:
    return word.strip(_EDGE_PUNCTUATION).casefold() or word


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no {token!r}: this is not a CLIP tokenizer")
    return found
