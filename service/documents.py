"""JSON as it is read, and what it has to be before a model looks at it, which would tell a fault for each value."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pydantic_core

from core.domain.errors import AppError, ErrorCode, FieldError, InputError, point

MAX_DEPTH = 32
MAX_VALUES = 2000

_Place: TypeAlias = tuple[str, Any]  # a pointer, and what stands there


def parse_document(text: bytes, *, what: str) -> Any:
    """The values of a JSON text.

    Args:
        text: in UTF-8.
        what: names it in a sentence.

    Raises:
        AppError: MALFORMED_JSON, with `line` and `column`.
    """
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        # The parser's sentence ends in "at line 1 column 2".
        numbers = [int(word) for word in str(error).split() if word.isdecimal()][-2:]
        place = dict(zip(("line", "column"), numbers, strict=False))
        raise AppError(ErrorCode.MALFORMED_JSON, f"{what} is not JSON: {error}.", errors=(), **place) from error


def check_document(content: Any, *, root: str = "") -> None:
    """Refuses what no request needs and no database keeps.

    Args:
        content: as the parser gives it; bytes of a file may stand for a text.
        root: the pointer to it.

    Raises:
        InputError: VALIDATION, for more than 2000 values, a nesting of more than 32, or U+0000 anywhere.
    """
    level: list[_Place] = [(root, content)]
    count = 1
    for _ in range(MAX_DEPTH + 1):
        count += sum(len(value) for _, value in level if isinstance(value, dict | list))
        if count > MAX_VALUES:
            raise _fault(root, f"must not have more than {MAX_VALUES} values", max_values=MAX_VALUES)
        level = [inner for place in level for inner in _within(*place)]
        if not level:
            return
    raise _fault(root, f"must not be nested more than {MAX_DEPTH} deep", max_depth=MAX_DEPTH)


def _within(pointer: str, value: Any) -> Iterator[_Place]:
    match value:
        case dict():
            for name, inner in value.items():
                _refuse_nul(pointer, name)
                yield point(pointer, name), inner
        case list():
            for index, inner in enumerate(value):
                yield point(pointer, index), inner
        case str():
            _refuse_nul(pointer, value)


def _refuse_nul(pointer: str, text: str) -> None:
    if "\x00" in text:
        raise _fault(pointer, "must not contain the character U+0000")


def _fault(pointer: str, detail: str, **numbers: int) -> InputError:
    fault = FieldError(pointer, detail)
    return InputError(ErrorCode.VALIDATION, "The request has faulty fields; see `errors`.", errors=(fault,), **numbers)
