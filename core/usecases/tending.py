"""Batches go on: jobs are made of waiting items, results are collected, and what has gone on too long is stopped.

Jobs of a batch are made little by little, so that accepting many items is one short commit, a batch can be canceled
at once, and the queue stays short. Whoever tends a batch may be killed at any time; another goes on where it stood.
"""

from dataclasses import dataclass
from typing import final

from core.domain.batch import Batch, BatchItem, BatchState, ItemError, ItemState
from core.domain.catalogue import Model
from core.domain.errors import Conflict, ErrorCode, InputError, NotFound
from core.domain.job import JobClass, JobState
from core.domain.ports import Database, UnitOfWork, WakeUps
from core.usecases.batches import items_lock, stop_batch
from core.usecases.edits import add_edit
from core.usecases.requests import EditRequest, Order

_WINDOW = 200  # started items of one batch: more than there are slots, and few enough to cancel at once
_CHUNK = 20  # items started in one commit: a tenth of a second
_OPEN = 1000  # batches looked after in one sweep
_WAKE_UPS = 32  # as many slots as one chunk wakes; the tasks wake the rest
_EXPIRED = ItemError(code=ErrorCode.DEADLINE, detail="The batch expired before this item was started.")


@final
@dataclass(frozen=True, slots=True)
class Tended:
    """What was done for a batch: `refused` items became no job, `more` could be started at once."""

    started: int = 0
    refused: int = 0
    more: bool = False


def tend_batches(database: Database, wakeups: WakeUps, model: Model, *, window: int = _WINDOW) -> int:
    """Every batch that has not ended is tended until its window is full; returns how many there are.

    One that cannot be tended does not keep the others waiting; its failure is raised at the end.
    """
    with database.read() as uow:
        batches = uow.batches.open(limit=_OPEN)
    failures: list[Exception] = []
    for tenant, batch_id in batches:
        try:
            while tend_batch(database, wakeups, model, tenant=tenant, batch_id=batch_id, window=window).more:
                pass
        except Exception as failure:  # noqa: BLE001 - raised below
            failures.append(failure)
    if failures:
        raise failures[0]
    return len(batches)


def tend_batch(
    database: Database, wakeups: WakeUps, model: Model, *, tenant: str, batch_id: str, window: int = _WINDOW
) -> Tended:
    """One short commit for one batch, of which at most `window` items are started; nothing where another is at it."""
    with database.begin() as uow:
        batch = uow.batches.try_hold(tenant, batch_id)
        if batch is None or batch.state is BatchState.ENDED:
            return Tended()
        batch = _stop_if_due(uow, uow.batches.collect(batch))
        tended = _start_some(uow, model, batch=batch, window=window)
        if tended.refused:
            uow.batches.collect(batch)
        uow.commit()
    if tended.started:
        wakeups.send(min(tended.started, _WAKE_UPS))
    return tended


def _stop_if_due(uow: UnitOfWork, batch: Batch) -> Batch:
    failures, most = batch.counts[JobState.FAILED], batch.max_failures
    if most is not None and failures > most and batch.state is BatchState.IN_PROGRESS:
        detail = f"The batch was stopped: {failures} items have failed, and it allows {most}."
        return stop_batch(uow, batch, reason=detail)
    if batch.unstarted and batch.deadline_at is not None and batch.deadline_at <= uow.now():
        uow.batches.drop_waiting(batch, ItemState.EXPIRED, _EXPIRED)
        return uow.batches.collect(batch)
    return batch


def _start_some(uow: UnitOfWork, model: Model, *, batch: Batch, window: int) -> Tended:
    room = window - (batch.unfinished - batch.unstarted)
    # Two chunks of one tenant at a time could wait for each other's images for ever.
    if not batch.unstarted or room <= 0 or not uow.try_lock(items_lock(batch.tenant)):
        return Tended()
    started: dict[int, str] = {}
    refused: dict[int, ItemError] = {}
    for item in uow.batches.waiting(batch, limit=min(_CHUNK, room)):
        if item.image_url is not None:
            break  # `fetch_inputs` comes first; items are started in their order
        try:
            started[item.number] = _start(uow, model, batch=batch, item=item)
        except (InputError, NotFound, Conflict) as error:
            refused[item.number] = ItemError.of(error)
    uow.batches.start(batch, started, refused)
    left = batch.unstarted - len(started) - len(refused)
    done = len(started) + len(refused)
    return Tended(len(started), len(refused), more=done > 0 and left > 0 and room > len(started))


def _start(uow: UnitOfWork, model: Model, *, batch: Batch, item: BatchItem) -> str:
    document = item.request or {}
    left = None if batch.deadline_at is None else (batch.deadline_at - uow.now()).total_seconds()
    order = Order(
        tenant=batch.tenant,
        job_class=JobClass.BATCH,
        metadata=document["metadata"],
        webhook=document.get("webhook"),
        deadline_seconds=left,
        max_attempts=batch.max_attempts,
        retry_of=item.job_id,
        batch_id=batch.id,
        batch_item=item.number,
    )
    job, _ = add_edit(uow, model, order=order, request=EditRequest.from_document(document["edit"]))
    return job.id
