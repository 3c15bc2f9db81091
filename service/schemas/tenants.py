"""Tenants, their keys and their usage, as callers and operators see them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Self, final

from pydantic import BaseModel, Field

from core.domain.access import ApiKey
from core.domain.tenants import Tenant, Usage
from core.usecases.keys import CALLER_SCOPES, Scope
from core.usecases.limits import Limits
from service.schemas.fields import Body


@final
class CreateKey(Body):
    """A key for a tenant; its first key makes the tenant."""

    tenant: Annotated[str, Field(min_length=1, max_length=63, examples=["acme"])]
    name: Annotated[str, Field(max_length=200, description="What you call it.")] = ""
    scopes: frozenset[Scope] = Field(CALLER_SCOPES, min_length=1, description="Left out, all but admin.")
    days: float | None = Field(None, gt=0, le=36_500, description="Until it expires; left out, it does not.")


@final
class RotateKey(Body):
    """How long the old key goes on."""

    overlap_seconds: int = Field(86_400, ge=0, le=90 * 86_400)


@final
class KeyView(BaseModel):
    """An API key."""

    id: str
    tenant: str
    name: str
    scopes: list[Scope]
    key: str | None = Field(description="`sk_…`, told once, when the key is made.")
    created_at: datetime
    expires_at: datetime | None = Field(description="When it ends by itself: it is old enough, or was exchanged.")
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Without its secret."""
        same = ("id", "tenant", "name", "created_at", "revoked_at", "last_used_at")
        scopes = sorted(map(Scope, key.scopes))
        return cls(**{name: getattr(key, name) for name in same}, expires_at=key.ends_at, scopes=scopes, key=None)


@final
class KeyPage(BaseModel):
    """Some keys, oldest first."""

    items: list[KeyView]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null at the end.")


@final
class TenantSettings(Body):
    """What a tenant may do; a limit that is left out is the deployment's own."""

    fetch_urls: bool = Field(False, description="Images may be named by URL.")
    requests_per_minute: int | None = Field(None, ge=1, le=10**6)
    max_unfinished_jobs: int | None = Field(None, ge=1, le=10**6, description="Batches aside.")
    compute_seconds_per_day: float | None = Field(None, gt=0, le=10**9)


@final
class TenantView(BaseModel):
    """A tenant."""

    name: str
    fetch_urls: bool
    requests_per_minute: int | None
    max_unfinished_jobs: int | None
    compute_seconds_per_day: float | None

    @classmethod
    def of(cls, tenant: Tenant) -> Self:
        """As it is kept."""
        return cls(**{name: getattr(tenant, name) for name in cls.model_fields})


@final
class TenantPage(BaseModel):
    """Some tenants, by name."""

    items: list[TenantView]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null at the end.")


@final
class DayView(BaseModel):
    """What was used on one day (UTC)."""

    day: date
    jobs: int = Field(description="That were computed; a duplicate is not.")
    compute_seconds: float
    bytes: int = Field(description="Of the artifacts they left.")


@final
class LimitsView(BaseModel):
    """What holds for the tenant."""

    requests_per_minute: int
    max_unfinished_jobs: int
    compute_seconds_per_day: float | None


@final
class UsageView(BaseModel):
    """What a tenant has used."""

    tenant: str
    first_day: date
    last_day: date
    jobs: int
    compute_seconds: float
    bytes: int
    days: list[DayView] = Field(description="Those on which anything was used.")
    limits: LimitsView

    @classmethod
    def of(cls, tenant: str, used: Sequence[Usage], *, between: tuple[date, date], limits: Limits) -> Self:
        """With the sums of all days."""
        shown = ("requests_per_minute", "max_unfinished_jobs", "compute_seconds_per_day")
        return cls(
            tenant=tenant,
            first_day=between[0],
            last_day=between[1],
            jobs=sum(day.jobs for day in used),
            compute_seconds=sum(day.compute_seconds for day in used),
            bytes=sum(day.bytes for day in used),
            days=[DayView(**asdict(day)) for day in used],
            limits=LimitsView(**{name: getattr(limits, name) for name in shown}),
        )
