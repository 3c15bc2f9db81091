"""What callers are told without asking: events, the endpoints they go to, and their deliveries."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, final

from core.domain.batch import Batch
from core.domain.job import Job, JobState


class WebhookEvent(StrEnum):
    """What can happen; the jobs of a batch are told by the batch."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELED = "job.canceled"
    JOB_EXPIRED = "job.expired"
    BATCH_ENDED = "batch.ended"


class DeliveryState(StrEnum):
    """Where a delivery stands; one that has failed is not tried again by itself."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


# Standard Webhooks 1.0: so long before each try, counted from the one before; 75 hours and 35 minutes in all.
_DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


def delay_before(number: int) -> timedelta | None:
    """How long the try of this number, from 1, waits after the one before; None when there are no more."""
    return _DELAYS[number - 1] if number <= len(_DELAYS) else None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a tenant listens; without a URL its secret signs what goes to the addresses that jobs name."""

    id: str
    tenant: str
    url: str | None
    events: frozenset[WebhookEvent]
    secret: str  # whsec_…; kept as it is, for every delivery is signed with it
    created_at: datetime
    disabled_at: datetime | None = None  # when it answered that it is gone


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one address; its id is the `webhook-id` of every try."""

    id: str
    tenant: str
    subject_id: str  # the job or batch that it is about
    event: WebhookEvent
    url: str
    named: bool  # by the job, not by an endpoint
    body: str  # the same text at every try
    state: DeliveryState
    tries: int
    next_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """What a listing asks for; `after` is the (created_at, id) of the last row already seen."""

    tenant: str
    state: DeliveryState | None = None
    subject_id: str | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 50


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What came of one try; pending with `next_at`, or final without."""

    state: DeliveryState
    status: int | None = None
    error: str | None = None
    next_at: datetime | None = None


def event_of(job: Job) -> WebhookEvent:
    """What the end of a job is called."""
    return WebhookEvent(f"job.{job.state}")


def describe(job: Job) -> dict[str, Any]:
    """A finished job as its event tells it: enough to know what to read."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "error": None if job.error is None else asdict(job.error),
        "metadata": job.metadata,
    }


def describe_batch(batch: Batch) -> dict[str, Any]:
    """A batch that has ended as its event tells it."""
    counts = {state: batch.counts[state] for state in JobState if state.final}
    return {"id": batch.id, "kind": "batch", "state": "ended", "counts": counts, "metadata": batch.metadata}


def write_body(event: WebhookEvent, *, at: datetime, data: dict[str, Any]) -> str:
    """The text of a delivery."""
    return json.dumps({"type": event, "timestamp": at.isoformat().replace("+00:00", "Z"), "data": data})


class WebhookRepository(Protocol):
    """Endpoints, and the deliveries that the ends of jobs leave."""

    def add_endpoint(self, endpoint: Endpoint) -> None: ...
    def endpoints(self, tenant: str) -> Sequence[Endpoint]:
        """Oldest first."""
        ...

    def delete_endpoint(self, tenant: str, endpoint_id: str) -> bool: ...
    def get(self, tenant: str, delivery_id: str) -> Delivery | None: ...
    def list(self, query: DeliveryFilter) -> Sequence[Delivery]:
        """Newest first."""
        ...

    def redeliver(self, tenant: str, delivery_id: str) -> Delivery | None:
        """Due at once, with all tries before it."""
        ...

    def any_due(self) -> bool: ...
    def claim_due(self, *, limit: int, per_tenant: int, busy: Collection[str], lease: timedelta) -> Sequence[Delivery]:
        """Deliveries that are due, of tenants that are not busy; nobody else is given them while the lease lasts."""
        ...

    def secrets(self, delivery: Delivery) -> Sequence[str]:
        """Of the endpoints that it is for; none when they are deleted or gone."""
        ...

    def note(self, delivery: Delivery, outcome: Try) -> None: ...
    def disable(self, delivery: Delivery) -> None:
        """Its endpoints are gone."""
        ...

    def forget(self, *, older_than: timedelta, limit: int) -> int: ...
