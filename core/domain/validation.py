"""From pydantic's faults to ours."""

from collections.abc import Mapping
from functools import reduce
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from core.domain.errors import ErrorCode, FieldError, InputError, point

Valid = TypeVar("Valid")


def validate(adapter: TypeAdapter[Valid], parameters: Mapping[str, Any], *, what: str) -> Valid:
    """The parameters as the adapter's type, a union discriminated by `method`.

    Raises:
        InputError: VALIDATION, with one pointer per fault.
    """
    try:
        return adapter.validate_python(parameters)
    except ValidationError as error:
        raise InputError(
            ErrorCode.VALIDATION,
            f"The parameters of {what} are not valid; GET /methods lists each with its bounds.",
            errors=tuple(_field_error(fault["loc"], fault["msg"]) for fault in error.errors()),
        ) from error


def _field_error(location: tuple[int | str, ...], message: str) -> FieldError:
    # The first part is the union's tag and "[key]" marks a fault in a name: neither is a place in the document.
    parts = (part for part in location[1:] if part != "[key]")
    return FieldError(reduce(point, parts, "/parameters"), message)
