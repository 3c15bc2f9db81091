"""How the tokens of two prompts answer to each other."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from core.domain.edit_parts import CrossRule
from core.domain.errors import ErrorCode, InputError
from core.domain.prompts import Prompt

Array = npt.NDArray[np.float64]


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
    share of every source token. End and padding follow, paired from the end token on as far as both go, so that no
    attention is counted twice.

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
    tail = np.arange(length - max(source.end, target.end))
    matrix[source.end + tail, target.end + tail] = 1.0
    return Alignment(matrix, np.ones(length))


def align_refinement(source: Prompt, target: Prompt) -> Alignment:
    """Equal tokens answer to each other, new ones keep their own attention.

    Needleman-Wunsch over token ids with match +1, mismatch -1 and free gaps; of equal scores an insertion is taken
    before a deletion and that before a pair. A mismatch never pays, so a replaced word counts as inserted.

    Padding answers to the padding at its own position. Departs from the published mapper where the source is longer and
    has words there: these columns take its first padding.
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
    for column in range(len(theirs), length):
        matrix[min(max(column, len(ours)), length - 1), column] = 1.0
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
