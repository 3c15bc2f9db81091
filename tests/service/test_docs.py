"""The page on HTTP says what the service does."""

from pathlib import Path

import pytest

from core.domain.errors import ErrorCode
from core.images import MAX_BYTES, MAX_PIXELS, MAX_SIDE
from core.settings import Settings
from service.app import create_app
from service.problems import PROBLEMS

PAGE = Path("docs/reference/http.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_is_documented(code: ErrorCode) -> None:
    kind = PROBLEMS[code]
    status = "in a job" if kind.in_job else kind.status.value
    retry = "yes" if kind.retry else "no"

    assert f"| `{code}` | {status} | {kind.title} | {retry} |" in PAGE


def test_every_route_is_documented() -> None:
    for path, operations in create_app(Settings()).openapi()["paths"].items():
        collection, _, rest = path.removeprefix("/").partition("/")
        for method in operations:
            own = f"{method.upper()} {path}"
            shared = f"{method.upper()} /…/{rest}" if collection in {"inversions", "edits", "jobs"} else own
            assert f"`{own}`" in PAGE or f"`{shared}`" in PAGE


def test_the_limits_of_images_are_documented() -> None:
    sentence = f"{MAX_BYTES // 2**20} MiB, {MAX_PIXELS // 10**6} million pixels and {MAX_SIDE:,} pixels on a side"

    assert sentence in PAGE
