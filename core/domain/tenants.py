"""Who the service works for, what each may do and has used, and whose key a caller holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, final

from core.domain.access import ApiKey


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What one tenant may do; a limit that is None is the deployment's own."""

    name: str
    fetch_urls: bool = False  # images may be named by URL
    requests_per_minute: int | None = None
    max_unfinished_jobs: int | None = None  # batches aside
    compute_seconds_per_day: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An API key and the tenant it belongs to."""

    key: ApiKey
    tenant: Tenant


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tenant's jobs took on one day in UTC; a duplicate takes nothing."""

    day: date
    jobs: int  # that a worker has ended
    compute_seconds: float
    bytes: int  # of the artifacts they left


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """What a listing asks for; `after` is the (created_at, id) of the last row already seen."""

    tenant: str | None = None
    after: tuple[datetime, str] | None = None
    limit: int | None = None


class KeyRepository(Protocol):
    """API keys."""

    def add(self, key: ApiKey) -> None: ...
    def get(self, key_id: str) -> ApiKey | None: ...
    def find(self, key_id: str) -> Caller | None:
        """With its tenant, in one look."""
        ...

    def list(self, query: KeyFilter) -> Sequence[ApiKey]:
        """Oldest first."""
        ...

    def revoke(self, key_id: str) -> bool: ...
    def retire(self, key_id: str, *, at: datetime) -> None:
        """It is refused from then on, or from an earlier time that was said before."""
        ...

    def touch(self, key_id: str) -> None: ...  # it was used now


class TenantRepository(Protocol):
    """Tenants and what they have used."""

    def ensure(self, name: str) -> None:
        """The tenant is there from now on."""
        ...

    def get(self, name: str) -> Tenant | None: ...
    def put(self, tenant: Tenant) -> None: ...
    def list(self, *, after: str, limit: int | None) -> Sequence[Tenant]:
        """By name, those that come after one."""
        ...

    def usage(self, name: str, *, first: date, last: date) -> Sequence[Usage]:
        """The days on which anything was used, in order."""
        ...

    def unfinished(self, name: str, *, limit: int) -> int:
        """The tenant's unfinished jobs outside of batches; counts no further than `limit`."""
        ...
