"""The repository of batches: their items, the results in order, and counts that need no look at every item."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import islice
from typing import Any, final

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from core.domain.batch import Batch, BatchFilter, BatchItem, BatchResult, ItemError, ItemState
from core.domain.job import Job, JobState
from core.domain.webhooks import WebhookEvent, describe_batch
from core.storage import endings
from core.storage.batch_rows import new_rows, to_batch, to_item
from core.storage.batch_tables import IS_OPEN, ITEM_FINAL, ITEM_STARTED, ITEM_WAITS, batch_items, batches
from core.storage.rows import to_job
from core.storage.tables import UtcDateTime, jobs
from core.storage.transaction import Transaction
from core.storage.webhooks import announce

_ROWS = 1000  # of one statement
_FINAL = [state for state in JobState if state.final]
# Of every state but `started` the batch keeps a count.
_COUNTED: dict[ItemState, Column[int]] = {
    state: batches.c[state] for state in ItemState if state is not ItemState.STARTED
}
_ALL_FINAL = sum((batches.c[state] for state in _FINAL), start=literal(0))


@final
class SqlBatches:
    """Implements `BatchRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(self, batch: Batch, items: Iterable[BatchItem]) -> None:
        refused = batch.counts.get(JobState.FAILED, 0)
        timed = ("created_at", "expires_in_seconds", "deadline_at")
        given = ("id", "tenant", "total", "max_failures", "max_attempts", "metadata", "webhook", *timed)
        self._tx.connection.execute(
            insert(batches).values(
                **{name: getattr(batch, name) for name in given},
                **{state: batch.counts.get(state, 0) for state in _FINAL},
                waiting=batch.unstarted,
                last_sequence=refused,
                tended_at=batch.created_at,
            )
        )
        rows = new_rows(batch, items)
        while chunk := list(islice(rows, _ROWS)):
            self._tx.connection.execute(insert(batch_items), chunk)

    def get(self, tenant: str, batch_id: str) -> Batch | None:
        found = self._read(select(batches.c.id).where(_is(tenant, batch_id)))
        return found[0] if found else None

    def list(self, query: BatchFilter) -> Sequence[Batch]:
        page = select(batches.c.id).where(batches.c.tenant == query.tenant)
        if query.after is not None:
            created_at, batch_id = query.after
            older = batches.c.created_at < created_at
            page = page.where(or_(older, and_(batches.c.created_at == created_at, batches.c.id < batch_id)))
        return self._read(page.order_by(batches.c.created_at.desc(), batches.c.id.desc()).limit(query.limit))

    def open(self, *, limit: int) -> Sequence[tuple[str, str]]:
        rows = select(batches.c.tenant, batches.c.id).where(IS_OPEN).order_by(batches.c.tended_at).limit(limit)
        return [(row.tenant, row.id) for row in self._tx.connection.execute(rows)]

    def hold(self, tenant: str, batch_id: str) -> Batch | None:
        self._tx.connection.execute(select(batches.c.id).where(_is(tenant, batch_id)).with_for_update())
        return self.get(tenant, batch_id)

    def try_hold(self, tenant: str, batch_id: str) -> Batch | None:
        free = select(batches.c.id).where(_is(tenant, batch_id)).with_for_update(skip_locked=True)
        return None if self._tx.connection.execute(free).first() is None else self.get(tenant, batch_id)

    def collect(self, batch: Batch) -> Batch:
        ended = self._tx.connection.execute(
            select(batch_items.c.number, jobs.c.state)
            .join(jobs, jobs.c.id == batch_items.c.job_id)
            .where(batch_items.c.batch_id == batch.id, ITEM_STARTED, jobs.c.state.in_(_FINAL))
            .order_by(jobs.c.finished_at, batch_items.c.number)
        ).all()
        self._change_items(
            batch,
            [
                {"at": row.number, "state": row.state, "sequence": sequence}
                for sequence, row in self._numbered(batch, ended)
            ],
        )
        self._count(batch, Counter(ItemState(row.state) for row in ended), sequences=len(ended))
        now = literal(self._tx.now(), UtcDateTime)
        ending = func.coalesce(batches.c.ended_at, case((batches.c.total == _ALL_FINAL, now)))
        self._change(batch, ended_at=ending, tended_at=now)
        tended = self.get(batch.tenant, batch.id) or batch
        if batch.ended_at is None and tended.ended_at is not None:
            announce(
                self._tx,
                WebhookEvent.BATCH_ENDED,
                tenant=batch.tenant,
                subject_id=batch.id,
                data=describe_batch(tended),
                webhook=tended.webhook,
            )
        return tended

    def waiting(self, batch: Batch, *, limit: int) -> Sequence[BatchItem]:
        rows = (
            select(batch_items)
            .where(batch_items.c.batch_id == batch.id, ITEM_WAITS)
            .order_by(batch_items.c.number)
            .limit(limit)
        )
        return [to_item(row) for row in self._tx.connection.execute(rows)]

    def amend(self, batch: Batch, items: Iterable[BatchItem]) -> None:
        self._change_items(batch, [{"at": item.number, "request": item.request} for item in items])

    def start(self, batch: Batch, jobs: Mapping[int, str], refused: Mapping[int, ItemError]) -> None:
        self._change_items(
            batch, [{"at": number, "state": ItemState.STARTED, "job_id": job} for number, job in jobs.items()]
        )
        failed = [
            {"at": number, "state": ItemState.FAILED, "error": asdict(error), "sequence": sequence}
            for sequence, (number, error) in self._numbered(batch, refused.items())
        ]
        self._change_items(batch, failed)
        changes = {ItemState.WAITING: -len(jobs) - len(refused), ItemState.FAILED: len(refused)}
        self._count(batch, changes, sequences=len(refused))

    def assign(self, job: Job) -> None:
        held = batches.c.id == job.batch_id
        batch = self._tx.connection.execute(select(batches).where(held).with_for_update()).one()
        item = and_(batch_items.c.batch_id == job.batch_id, batch_items.c.number == job.batch_item)
        before = ItemState(self._tx.connection.execute(select(batch_items.c.state).where(item)).scalar_one())
        self._tx.connection.execute(
            update(batch_items).where(item).values(state=ItemState.STARTED, job_id=job.id, sequence=None, error=None)
        )
        counted = {before: _COUNTED[before] - 1} if before in _COUNTED else {}
        reopened = {} if batch.ended_at is None else {"cancel_requested_at": None}
        self._tx.connection.execute(update(batches).where(held).values(ended_at=None, **counted, **reopened))

    def drop_waiting(self, batch: Batch, state: ItemState, error: ItemError) -> None:
        last = select(batches.c.last_sequence).where(batches.c.id == batch.id).scalar_subquery()
        dropped = self._tx.connection.execute(
            update(batch_items)
            .where(batch_items.c.batch_id == batch.id, ITEM_WAITS)
            .values(state=state, error=asdict(error), sequence=last + 1 + batch_items.c.number)
        ).rowcount
        self._count(batch, {ItemState.WAITING: -dropped, state: dropped}, sequences=batch.total)

    def cancel(self, batch: Batch, *, reason: str) -> None:
        self._change(batch, cancel_requested_at=func.coalesce(batches.c.cancel_requested_at, self._tx.now()))
        endings.cancel_batch(self._tx, batch.id, reason=reason)

    def restart_failed(self, batch: Batch) -> int:
        mine = and_(batch_items.c.batch_id == batch.id, batch_items.c.request.is_not(None))
        count = self._tx.connection.execute(
            update(batch_items)
            .where(mine, batch_items.c.state == ItemState.FAILED)
            .values(state=ItemState.WAITING, sequence=None, error=None)
        ).rowcount
        if count:
            self._count(batch, {ItemState.FAILED: -count, ItemState.WAITING: count}, sequences=0)
            given = batch.expires_in_seconds
            late = None if given is None else self._tx.now() + timedelta(seconds=given)
            self._change(batch, ended_at=None, cancel_requested_at=None, deadline_at=late)
        return count

    def results(self, tenant: str, batch_id: str, *, after: int, limit: int) -> Sequence[BatchResult]:
        rows = self._tx.connection.execute(
            select(batch_items)
            .join(batches, batches.c.id == batch_items.c.batch_id)
            .where(_is(tenant, batch_id), batch_items.c.batch_id == batch_id, ITEM_FINAL)
            .where(batch_items.c.sequence > after)
            .order_by(batch_items.c.sequence)
            .limit(limit)
        ).all()
        made = [row.job_id for row in rows if row.job_id is not None]
        found = self._tx.connection.execute(select(jobs).where(jobs.c.id.in_(made))) if made else ()
        by_id = {job.id: job for job in map(to_job, found)}
        return [BatchResult(sequence=row.sequence, item=to_item(row), job=by_id.get(row.job_id)) for row in rows]

    def _read(self, page: Select[str]) -> Sequence[Batch]:
        """One statement, so that no item is counted twice or not at all while it passes from one state to the next."""
        chosen = page.cte("chosen")
        started = (
            select(batch_items.c.batch_id, jobs.c.state, func.count().label("items"))
            .join(jobs, jobs.c.id == batch_items.c.job_id)
            .where(ITEM_STARTED, batch_items.c.batch_id.in_(select(chosen.c.id)))
            .group_by(batch_items.c.batch_id, jobs.c.state)
            .subquery()
        )
        rows = self._tx.connection.execute(
            select(batches, started.c.state.label("started"), started.c["items"].label("started_items"))
            .join(chosen, chosen.c.id == batches.c.id)
            .outerjoin(started, started.c.batch_id == batches.c.id)
            .order_by(batches.c.created_at.desc(), batches.c.id.desc())
        )
        found: dict[str, list[Row[Any]]] = {}
        for row in rows:
            found.setdefault(row.id, []).append(row)
        return [to_batch(of_one) for of_one in found.values()]

    def _numbered(self, batch: Batch, rows: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        last = self._tx.connection.execute(select(batches.c.last_sequence).where(batches.c.id == batch.id)).scalar_one()
        return enumerate(rows, last + 1)

    def _change_items(self, batch: Batch, changes: Sequence[dict[str, Any]]) -> None:
        if changes:
            one = and_(batch_items.c.batch_id == batch.id, batch_items.c.number == bindparam("at"))
            values: dict[str, Any] = {name: bindparam(name) for name in changes[0] if name != "at"}
            self._tx.connection.execute(update(batch_items).where(one).values(values), changes)

    def _count(self, batch: Batch, changes: Mapping[ItemState, int], *, sequences: int) -> None:
        if sequences or any(changes.values()):
            counted = {state: _COUNTED[state] + change for state, change in changes.items()}
            self._change(batch, **counted, last_sequence=batches.c.last_sequence + sequences)

    def _change(self, batch: Batch, **values: Any) -> None:
        self._tx.connection.execute(update(batches).where(batches.c.id == batch.id).values(**values))


def _is(tenant: str, batch_id: str) -> ColumnElement[bool]:
    return and_(batches.c.tenant == tenant, batches.c.id == batch_id)
