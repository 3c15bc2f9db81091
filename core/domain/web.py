"""HTTP to hosts that callers name, as a protocol; `core.outbound` implements it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """What a host said to a POST; `retry_after` is the header as it came."""

    status: int
    retry_after: str | None


class Web(Protocol):
    """Connects to public addresses only, and only for so long."""

    def check(self, url: str) -> None:
        """Raises InputError (URL_BLOCKED) for what can be seen to be refused without asking anybody."""
        ...

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Follows redirects; raises InputError (URL_BLOCKED) or FetchFailed, and Unavailable when too many fetch."""
        ...

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> WebAnswer:
        """Follows no redirect; raises InputError (URL_BLOCKED) or FetchFailed."""
        ...

    def close(self) -> None: ...
