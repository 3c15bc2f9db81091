"""Reading of the reference values in `tests/golden`; its README says what each of them is."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from core.domain.prompts import Prompt, Vocabulary

_FOLDER = Path(__file__).parent / "golden"


def described(name: str) -> dict[str, Any]:
    """The description that goes with the arrays of a name."""
    content: dict[str, Any] = json.loads((_FOLDER / f"{name}.json").read_text())
    return content


def arrays(name: str) -> dict[str, npt.NDArray[Any]]:
    """All arrays of a name."""
    with np.load(_FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def cases(name: str) -> dict[str, Any]:
    """The cases of a description by their names."""
    return {case["name"]: case for case in described(name)["cases"]}


def prompt_of(record: dict[str, Any], *, length: int = 77) -> Prompt:
    """The prompt that our own reading makes of recorded tokens."""
    tokenizer = cast(Tokenizer, _RecordedTokenizer(record))
    start, *_, end = record["ids"]
    return Vocabulary(tokenizer, start=start, end=end, pad=end, length=length).parse(record["text"])


@dataclass
class _Encoding:
    ids: list[int]
    offsets: list[tuple[int, int]]


class _RecordedTokenizer:
    """Answers with the recorded tokens of its one sentence, and where in the sentence they stand."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def encode(self, text: str, *, add_special_tokens: bool) -> _Encoding:
        return _Encoding(self._record["ids"][1:-1], _offsets(text, self._record["pieces"][1:-1]))


def _offsets(text: str, pieces: list[str]) -> list[tuple[int, int]]:
    """Where each piece stands; a piece that is one byte of a longer character stands where the character does."""
    found, at, bytes_left = [], 0, 0
    for piece in pieces:
        while text[at].isspace():
            at += 1
        if piece == "\N{REPLACEMENT CHARACTER}":
            bytes_left = (bytes_left or len(text[at].encode())) - 1
            found.append((at, at + 1))
            at += bytes_left == 0
        else:
            found.append((at, at + len(piece)))
            at += len(piece)
    return found
