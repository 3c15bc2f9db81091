"""The repository of webhook endpoints and deliveries."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, final

from sqlalchemy import ColumnElement, RowMapping, and_, delete, func, insert, or_, select, update

from core.domain.ids import IdPrefix, new_id
from core.domain.job import Job
from core.domain.webhooks import (
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Endpoint,
    Try,
    WebhookEvent,
    describe,
    event_of,
    write_body,
)
from core.storage.tenant_tables import IS_PENDING, webhook_deliveries, webhook_endpoints
from core.storage.transaction import Transaction

_LISTENING = webhook_endpoints.c.disabled_at.is_(None)


@final
class SqlWebhooks:
    """Implements `WebhookRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add_endpoint(self, endpoint: Endpoint) -> None:
        row = {**asdict(endpoint), "events": sorted(endpoint.events)}
        self._tx.connection.execute(insert(webhook_endpoints).values(**row))

    def endpoints(self, tenant: str) -> Sequence[Endpoint]:
        columns = webhook_endpoints.c
        query = select(webhook_endpoints).where(columns.tenant == tenant).order_by(columns.created_at, columns.id)
        return [_to_endpoint(row) for row in self._tx.connection.execute(query).mappings()]

    def delete_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        mine = (webhook_endpoints.c.tenant == tenant, webhook_endpoints.c.id == endpoint_id)
        return self._tx.connection.execute(delete(webhook_endpoints).where(*mine)).rowcount == 1

    def get(self, tenant: str, delivery_id: str) -> Delivery | None:
        row = self._tx.connection.execute(select(webhook_deliveries).where(_is(tenant, delivery_id))).mappings()
        return next(map(_to_delivery, row), None)

    def list(self, query: DeliveryFilter) -> Sequence[Delivery]:
        columns = webhook_deliveries.c
        rows = self._tx.connection.execute(
            select(webhook_deliveries)
            .where(*_conditions(query))
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(query.limit)
        )
        return [_to_delivery(row) for row in rows.mappings()]

    def redeliver(self, tenant: str, delivery_id: str) -> Delivery | None:
        values = {"state": DeliveryState.PENDING, "tries": 0, "next_at": self._tx.now(), "ended_at": None}
        changed = update(webhook_deliveries).where(_is(tenant, delivery_id)).values(**values)
        rows = self._tx.connection.execute(changed.returning(*webhook_deliveries.c)).mappings()
        return next(map(_to_delivery, rows), None)

    def any_due(self) -> bool:
        return (
            self._tx.connection.execute(select(webhook_deliveries.c.id).where(self._due()).limit(1)).first() is not None
        )

    def claim_due(self, *, limit: int, per_tenant: int, busy: Collection[str], lease: timedelta) -> Sequence[Delivery]:
        columns = webhook_deliveries.c
        turn = func.row_number().over(partition_by=columns.tenant, order_by=columns.next_at).label("turn")
        waiting = select(columns.id, columns.next_at, turn).where(self._due(), columns.tenant.not_in(busy)).subquery()
        chosen = select(waiting.c.id).where(waiting.c.turn <= per_tenant).order_by(waiting.c.next_at).limit(limit)
        # Another process may have taken one meanwhile; then it is no longer due.
        taken = update(webhook_deliveries).where(columns.id.in_(chosen), self._due())
        rows = self._tx.connection.execute(taken.values(next_at=self._tx.now() + lease).returning(*columns))
        return [_to_delivery(row) for row in rows.mappings()]

    def secrets(self, delivery: Delivery) -> Sequence[str]:
        columns = webhook_endpoints.c
        query = select(columns.secret).where(_listens(delivery), _LISTENING).order_by(columns.created_at.desc())
        return list(self._tx.connection.execute(query).scalars())

    def note(self, delivery: Delivery, outcome: Try) -> None:
        ended = outcome.state is not DeliveryState.PENDING
        changed = (
            update(webhook_deliveries)
            # One that was sent again by its owner meanwhile begins anew.
            .where(webhook_deliveries.c.id == delivery.id, webhook_deliveries.c.next_at == delivery.next_at)
            .values(
                state=outcome.state,
                tries=delivery.tries + 1,
                next_at=outcome.next_at,
                last_status=outcome.status,
                last_error=outcome.error,
                ended_at=self._tx.now() if ended else None,
            )
        )
        self._tx.connection.execute(changed)

    def disable(self, delivery: Delivery) -> None:
        gone = update(webhook_endpoints).where(_listens(delivery), _LISTENING)
        self._tx.connection.execute(gone.values(disabled_at=self._tx.now()))

    def forget(self, *, older_than: timedelta, limit: int) -> int:
        columns = webhook_deliveries.c
        old = select(columns.id).where(columns.created_at < self._tx.now() - older_than).limit(limit)
        return self._tx.connection.execute(delete(webhook_deliveries).where(columns.id.in_(old))).rowcount

    def _due(self) -> ColumnElement[bool]:
        return and_(IS_PENDING, webhook_deliveries.c.next_at <= self._tx.now())


def announce_ends(tx: Transaction, jobs: Sequence[Job]) -> None:
    """Leaves a delivery for everyone who wants to know that these jobs have ended.

    Endpoints hear of a batch's jobs by the batch, an address that the job itself names of the job.
    """
    for job in jobs:
        if job.state.final and (job.batch_id is None or job.webhook is not None):
            announce(
                tx,
                event_of(job),
                tenant=job.tenant,
                subject_id=job.id,
                data=describe(job),
                webhook=job.webhook,
                endpoints=job.batch_id is None,
            )


def announce(
    tx: Transaction,
    event: WebhookEvent,
    *,
    tenant: str,
    subject_id: str,
    data: dict[str, Any],
    webhook: dict[str, Any] | None = None,
    endpoints: bool = True,
) -> None:
    """Leaves a delivery of one event for each address that wants it, in the commit that makes it happen."""
    wanted = {(url, False) for url in _listening(tx, tenant, event)} if endpoints else set()
    if webhook is not None and event in webhook["events"]:
        wanted.add((webhook["url"], True))
    same = {
        "tenant": tenant,
        "subject_id": subject_id,
        "event": event,
        "body": write_body(event, at=tx.now(), data=data),
        "state": DeliveryState.PENDING,
        "tries": 0,
        "next_at": tx.now(),
        "created_at": tx.now(),
    }
    rows = [{**same, "id": new_id(IdPrefix.DELIVERY), "url": url, "named": named} for url, named in sorted(wanted)]
    if rows:
        tx.connection.execute(insert(webhook_deliveries), rows)


def _listening(tx: Transaction, tenant: str, event: WebhookEvent) -> list[str]:
    columns = webhook_endpoints.c
    query = select(columns.url, columns.events).where(columns.tenant == tenant, columns.url.is_not(None), _LISTENING)
    return [row.url for row in tx.connection.execute(query) if event in row.events]


def _listens(delivery: Delivery) -> ColumnElement[bool]:
    columns = webhook_endpoints.c
    return and_(
        columns.tenant == delivery.tenant, columns.url.is_(None) if delivery.named else columns.url == delivery.url
    )


def _is(tenant: str, delivery_id: str) -> ColumnElement[bool]:
    return and_(webhook_deliveries.c.tenant == tenant, webhook_deliveries.c.id == delivery_id)


def _conditions(query: DeliveryFilter) -> list[ColumnElement[bool]]:
    columns = webhook_deliveries.c
    conditions = [columns.tenant == query.tenant]
    wanted = {"state": query.state, "subject_id": query.subject_id}
    conditions += [columns[name] == value for name, value in wanted.items() if value is not None]
    if query.after is not None:
        created_at, delivery_id = query.after
        same_time = and_(columns.created_at == created_at, columns.id < delivery_id)
        conditions.append(or_(columns.created_at < created_at, same_time))
    return conditions


def _to_endpoint(row: RowMapping) -> Endpoint:
    return Endpoint(**{**row, "events": frozenset(map(WebhookEvent, row["events"]))})


def _to_delivery(row: RowMapping) -> Delivery:
    return Delivery(**{**row, "event": WebhookEvent(row["event"]), "state": DeliveryState(row["state"])})
