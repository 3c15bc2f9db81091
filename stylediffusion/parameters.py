"""Parameters of a method on the command line: `--param name=value`, the value as JSON or as it stands."""

import json
from collections.abc import Sequence
from typing import Any

from core.domain.errors import ErrorCode, InputError


def read_parameters(given: Sequence[str]) -> dict[str, Any]:
    """The parameters by name; the service, or the specification, checks them.

    Raises:
        InputError: one of them is not name=value.
    """
    parameters: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not name or not equals:
            raise InputError(ErrorCode.VALIDATION, f'--param takes name=value, not "{one}".')
        parameters[name] = _value(text)
    return parameters


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
