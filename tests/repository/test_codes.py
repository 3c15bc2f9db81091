"""No code is promised that no test produces."""

import re
from pathlib import Path

import pytest

from core.domain.errors import ErrorCode

_TESTS = "\n".join(path.read_text(encoding="utf-8") for path in Path("tests").rglob("test_*.py"))


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_is_named_by_a_test(code: ErrorCode) -> None:
    assert re.search(rf"\b{code}\b", _TESTS)
