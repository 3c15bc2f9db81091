"""Batches and items as rows, and rows as batches and items."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from core.domain.batch import Batch, BatchItem, ItemError, ItemState
from core.domain.errors import FieldError
from core.domain.job import JobState


def new_rows(batch: Batch, items: Iterable[BatchItem]) -> Iterator[dict[str, Any]]:
    """The columns of new items; a refused one has its place among the results at once."""
    sequence = 0
    for item in items:
        waits = item.state is ItemState.WAITING
        sequence += not waits
        yield {
            "batch_id": batch.id,
            "number": item.number,
            "custom_id": item.custom_id,
            "state": item.state,
            "sequence": None if waits else sequence,
            "job_id": item.job_id,
            "request": item.request,
            "error": None if item.error is None else asdict(item.error),
        }


def to_item(row: Row[Any]) -> BatchItem:
    """The item of a row of the whole table."""
    return BatchItem(
        number=row.number,
        custom_id=row.custom_id,
        request=row.request,
        state=ItemState(row.state),
        job_id=row.job_id,
        error=None if row.error is None else _to_error(row.error),
    )


def to_batch(rows: Sequence[Row[Any]]) -> Batch:
    """The batch of rows that differ in the state of its started jobs and their number (`started`, `started_items`)."""
    row = rows[0]
    counts = Counter({state: getattr(row, state) for state in JobState if state.final})
    counts[JobState.WAITING] = row.waiting
    for one in rows:
        if one.started is not None:
            counts[JobState(one.started)] += one.started_items
    return Batch(
        id=row.id,
        tenant=row.tenant,
        total=row.total,
        counts={state: counts[state] for state in JobState},
        created_at=row.created_at,
        unstarted=row.waiting,
        max_attempts=row.max_attempts,
        max_failures=row.max_failures,
        expires_in_seconds=row.expires_in_seconds,
        deadline_at=row.deadline_at,
        cancel_requested_at=row.cancel_requested_at,
        ended_at=row.ended_at,
        metadata=row.metadata,
        webhook=row.webhook,
    )


def _to_error(document: dict[str, Any]) -> ItemError:
    errors = tuple(FieldError(**fault) for fault in document["errors"])
    return ItemError(code=document["code"], detail=document["detail"], errors=errors)
