"""Webhooks: endpoints and their secrets, the deliveries to them, and one try of a delivery."""

import base64
import random
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from standardwebhooks.webhooks import Webhook

from core.domain.errors import AppError, ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.ports import Database
from core.domain.web import Web
from core.domain.webhooks import (
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Endpoint,
    Try,
    WebhookEvent,
    delay_before,
)
from core.usecases.idempotency import Remember, keep_with

MAX_ENDPOINTS = 20  # of one tenant
_SECRET_BYTES = 32
_JITTER = 0.1  # of a delay, so that what failed together does not come back together
_MOST_PATIENCE = timedelta(hours=24)  # with a host that says when it wants to be asked again
_GONE = 410
# A try takes OUTBOUND_SECONDS; a process that dies meanwhile leaves its deliveries to another after this.
LEASE = timedelta(minutes=5)


def add_endpoint(
    database: Database,
    web: Web,
    tenant: str,
    *,
    url: str | None,
    events: Iterable[WebhookEvent],
    remember: Remember[Endpoint] | None = None,
) -> Endpoint:
    """A place to tell events to, with a new secret; without a URL, a secret for the addresses that jobs name.

    Raises:
        InputError: URL_BLOCKED, or VALIDATION when there are too many.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    if url is not None:
        web.check(url)
    with database.begin() as uow:
        if len(uow.webhooks.endpoints(tenant)) >= MAX_ENDPOINTS:
            detail = f"There are {MAX_ENDPOINTS} endpoints, as many as may be; delete one first."
            raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/url", detail),), max=MAX_ENDPOINTS)
        endpoint = Endpoint(
            id=new_id(IdPrefix.ENDPOINT),
            tenant=tenant,
            url=url,
            events=frozenset(events),
            secret=f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}",
            created_at=uow.now(),
        )
        uow.webhooks.add_endpoint(endpoint)
        keep_with(uow, endpoint, remember)
        uow.commit()
    return endpoint


def list_endpoints(database: Database, tenant: str) -> Sequence[Endpoint]:
    """Oldest first."""
    with database.read() as uow:
        return uow.webhooks.endpoints(tenant)


def delete_endpoint(database: Database, tenant: str, endpoint_id: str) -> None:
    """Nothing goes there any more, nor is signed with its secret.

    Raises:
        NotFound: there is no such endpoint.
    """
    with database.begin() as uow:
        if not uow.webhooks.delete_endpoint(tenant, endpoint_id):
            raise NotFound(f"There is no webhook endpoint {endpoint_id}.")
        uow.commit()


def check_webhook(database: Database, web: Web, tenant: str, *, url: str) -> None:
    """Whether a job may name this address.

    Raises:
        InputError: URL_BLOCKED, or VALIDATION when no secret could sign what is sent there.
    """
    web.check(url)
    if not any(endpoint.url is None and endpoint.disabled_at is None for endpoint in list_endpoints(database, tenant)):
        detail = "No secret could sign this webhook: make one first, with POST /webhook_endpoints without a `url`."
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/webhook", detail),))


def list_deliveries(database: Database, query: DeliveryFilter) -> Sequence[Delivery]:
    """Newest first; a page shorter than the limit is the last."""
    with database.read() as uow:
        return uow.webhooks.list(query)


def redeliver(
    database: Database, tenant: str, delivery_id: str, *, remember: Remember[Delivery] | None = None
) -> Delivery:
    """Sends a delivery again, at once, with its old id, and with all tries before it.

    Raises:
        NotFound: there is no such delivery.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    with database.begin() as uow:
        delivery = uow.webhooks.redeliver(tenant, delivery_id)
        if delivery is None:
            raise NotFound(f"There is no webhook delivery {delivery_id}.")
        keep_with(uow, delivery, remember)
        uow.commit()
    return delivery


def claim_due(database: Database, *, limit: int, per_tenant: int, busy: Collection[str]) -> Sequence[Delivery]:
    """Deliveries to be tried now, at most `per_tenant` of one tenant and none of a busy one."""
    with database.read() as uow:
        if not uow.webhooks.any_due():
            return ()
    with database.begin() as uow:
        claimed = uow.webhooks.claim_due(limit=limit, per_tenant=per_tenant, busy=busy, lease=LEASE)
        uow.commit()
    return claimed


def deliver(database: Database, web: Web, delivery: Delivery) -> Try:
    """One try, and what it means for the next."""
    with database.read() as uow:
        keys, now = uow.webhooks.secrets(delivery), uow.now()
    outcome = _send(web, delivery, keys=keys, now=now)
    with database.begin() as uow:
        if outcome.next_at is not None:
            # Counted from the end of this try.
            outcome = replace(outcome, next_at=outcome.next_at + (uow.now() - now))
        uow.webhooks.note(delivery, outcome)
        if outcome.status == _GONE and not delivery.named:
            uow.webhooks.disable(delivery)
        uow.commit()
    return outcome


def _send(web: Web, delivery: Delivery, *, keys: Sequence[str], now: datetime) -> Try:
    if not keys:
        return Try(state=DeliveryState.FAILED, error="The endpoint has been deleted, or has said that it is gone.")
    try:
        answer = web.post(delivery.url, body=delivery.body.encode(), headers=_headers(delivery, keys, now))
    except AppError as error:
        return _failed(delivery, now, error=error.detail)
    if 200 <= answer.status < 300:
        return Try(state=DeliveryState.DELIVERED, status=answer.status)
    if answer.status == _GONE:
        return Try(state=DeliveryState.FAILED, status=_GONE, error="The endpoint says that it is gone.")
    said = f"The endpoint answers {answer.status}."
    return _failed(delivery, now, error=said, status=answer.status, patience=_asked_patience(answer.retry_after, now))


def _failed(
    delivery: Delivery, now: datetime, *, error: str, status: int | None = None, patience: timedelta = timedelta(0)
) -> Try:
    delay = delay_before(delivery.tries + 2)
    if delay is None:
        return Try(state=DeliveryState.FAILED, status=status, error=error)
    waits = max(delay * (1 + random.random() * _JITTER), patience)
    return Try(state=DeliveryState.PENDING, status=status, error=error, next_at=now + waits)


def _headers(delivery: Delivery, keys: Sequence[str], now: datetime) -> dict[str, str]:
    at = now.astimezone(UTC)
    signatures = (Webhook(key).sign(delivery.id, at, delivery.body) for key in keys)
    return {
        "Content-Type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _asked_patience(retry_after: str | None, now: datetime) -> timedelta:
    """What a Retry-After header asks for, in seconds or as a date (RFC 9110, section 10.2.3), within reason."""
    if retry_after is None:
        return timedelta(0)
    if retry_after.isascii() and retry_after.isdecimal():
        return min(timedelta(seconds=int(retry_after[:9])), _MOST_PATIENCE)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return timedelta(0)
    # RFC 9110's dates are all GMT; the oldest form does not say so.
    wanted = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return min(max(wanted - now, timedelta(0)), _MOST_PATIENCE)
