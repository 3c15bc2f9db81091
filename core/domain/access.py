"""Who may call, and what was already answered: API keys and idempotency records."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, final


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
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """The first answer to a request that carried an Idempotency-Key."""

    tenant: str
    key: str
    fingerprint: str  # SHA-256 over method, path and body
    status: int
    body: dict[str, Any]
