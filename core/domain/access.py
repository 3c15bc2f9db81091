"""Who may call, and what was already answered: API keys and idempotency records."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A caller's key as it is kept: the secret's SHA-256, never the secret."""

    id: str
    tenant: str
    name: str
    secret_sha256: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None = None
    retired_at: datetime | None = None  # the end of its overlap with the key it was exchanged for
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When it is refused without being revoked."""
        return min((end for end in (self.expires_at, self.retired_at) if end is not None), default=None)

    def valid_at(self, moment: datetime) -> bool:
        """Neither revoked nor expired nor retired."""
        return self.revoked_at is None and (self.ends_at is None or self.ends_at > moment)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """The first answer to a request that carried an Idempotency-Key."""

    tenant: str
    key: str
    fingerprint: str  # SHA-256 over method, path and body
    status: int
    body: dict[str, Any]


class IdempotencyRepository(Protocol):
    """First answers by (tenant, key), written in the same commit as what they created."""

    def get(self, tenant: str, key: str) -> IdempotencyRecord | None: ...
    def add(self, record: IdempotencyRecord) -> None:
        """Raises Conflict (IDEMPOTENCY_IN_FLIGHT) when another request has taken the key meanwhile."""
        ...

    def forget(self, *, older_than: timedelta) -> int: ...
