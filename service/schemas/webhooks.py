"""Webhooks as callers send and see them."""

from datetime import datetime
from typing import Annotated, Any, Self, final

from pydantic import BaseModel, Field

from core.domain.webhooks import Delivery, DeliveryState, Endpoint, WebhookEvent
from service.schemas.fields import Body

Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://example.com/hook"])]
_Events = Annotated[
    frozenset[WebhookEvent],
    Field(default_factory=lambda: frozenset(WebhookEvent), min_length=1, description="Left out, all of them."),
]


@final
class JobWebhook(Body):
    """Where the end of one job is told, besides the tenant's endpoints."""

    url: Url
    events: _Events

    def to_document(self) -> dict[str, Any]:
        """As the job keeps it."""
        return {"url": self.url, "events": sorted(self.events)}


@final
class CreateEndpoint(Body):
    """A place to tell events to; without a URL, a secret that signs what goes to the addresses that jobs name."""

    url: Url | None = None
    events: _Events


@final
class EndpointView(BaseModel):
    """A webhook endpoint."""

    id: str
    url: str | None
    events: list[WebhookEvent]
    secret: str | None = Field(description="Told once, when the endpoint is made.")
    created_at: datetime
    disabled_at: datetime | None = Field(description="When it answered 410; nothing goes there since.")

    @classmethod
    def of(cls, endpoint: Endpoint, *, secret: str | None = None) -> Self:
        """Without its secret unless that is given."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=sorted(endpoint.events),
            secret=secret,
            created_at=endpoint.created_at,
            disabled_at=endpoint.disabled_at,
        )


@final
class EndpointList(BaseModel):
    """All endpoints, oldest first."""

    items: list[EndpointView]


@final
class DeliveryView(BaseModel):
    """One event on its way to one address."""

    id: str = Field(description="The `webhook-id` of every try.")
    event: WebhookEvent
    subject_id: str = Field(description="The job or batch that it is about.")
    url: str
    state: DeliveryState
    tries: int
    next_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Without what was sent."""
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


@final
class DeliveryPage(BaseModel):
    """Some deliveries, newest first."""

    items: list[DeliveryView]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null at the end.")
