"""What a caller does with batches: send one, look at it, read its results, cancel it, try its failures again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, final

from core.domain.batch import Batch, BatchFilter, BatchItem, BatchResult, BatchState, ItemError, ItemState
from core.domain.errors import ErrorCode, NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.job import JobClass, JobState
from core.domain.ports import Database, UnitOfWork
from core.usecases.idempotency import Remember, keep_with
from core.usecases.limits import Limits, check_limits

MAX_ITEMS = 50_000
_RESULTS = 500  # of one look into the database: a megabyte or so

_CANCELED = "The caller canceled the batch."


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """What a batch carries besides its items; `refused` of the `total` items are final from the start."""

    tenant: str
    total: int
    refused: int = 0
    expires_in_seconds: float | None = None
    max_failures: int | None = None
    max_attempts: int = 3
    metadata: Mapping[str, str] = field(default_factory=dict)
    webhook: Mapping[str, Any] | None = None  # url, events
    limits: Limits | None = None
    remember: Remember[Batch] | None = None


def accept_batch(database: Database, order: BatchOrder, items: Iterable[BatchItem]) -> Batch:
    """Keeps a batch with all its items in one commit; jobs are made of them later, whatever becomes of this process.

    Raises:
        Conflict: IDEMPOTENCY_IN_FLIGHT.
        Exhausted: QUOTA_EXCEEDED.
    """
    with database.begin() as uow:
        check_limits(uow, order.tenant, order.limits, job_class=JobClass.BATCH)
        now = uow.now()
        sound, expires_in = order.total - order.refused, order.expires_in_seconds
        batch = Batch(
            id=new_id(IdPrefix.BATCH),
            tenant=order.tenant,
            total=order.total,
            counts={**dict.fromkeys(JobState, 0), JobState.WAITING: sound, JobState.FAILED: order.refused},
            unstarted=sound,
            created_at=now,
            max_failures=order.max_failures,
            max_attempts=order.max_attempts,
            expires_in_seconds=expires_in,
            deadline_at=None if expires_in is None else now + timedelta(seconds=expires_in),
            metadata=dict(order.metadata),
            webhook=None if order.webhook is None else dict(order.webhook),
        )
        uow.batches.add(batch, items)
        keep_with(uow, batch, order.remember)
        uow.commit()
    return batch


def get_batch(database: Database, tenant: str, batch_id: str) -> Batch:
    """One batch of this tenant.

    Raises:
        NotFound: there is none with this id.
    """
    with database.read() as uow:
        batch = _found(uow.batches.get(tenant, batch_id), batch_id)
    # Its last job may have ended a moment ago.
    return batch if batch.unfinished or batch.state is BatchState.ENDED else _collect(database, batch)


def list_batches(database: Database, query: BatchFilter) -> Sequence[Batch]:
    """Newest first; a page shorter than the limit is the last."""
    with database.read() as uow:
        return uow.batches.list(query)


def cancel_batch(
    database: Database, tenant: str, batch_id: str, *, remember: Remember[tuple[Batch, bool]] | None = None
) -> tuple[Batch, bool]:
    """Nothing of it starts any more, and what runs stops soon; one that has ended stays as it is.

    Returns:
        The batch, and whether it was there to be stopped.

    Raises:
        NotFound: there is none with this id.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    with database.begin() as uow:
        batch = _found(uow.batches.hold(tenant, batch_id), batch_id)
        unfinished = batch.state is not BatchState.ENDED
        if unfinished:
            batch = stop_batch(uow, batch)
        keep_with(uow, (batch, unfinished), remember)
        uow.commit()
    return batch, unfinished


def items_lock(tenant: str) -> str:
    """The lock of whoever makes jobs of a tenant's items: one after another, they hold the inversions they need."""
    return f"starting items of {tenant}"


def stop_batch(uow: UnitOfWork, batch: Batch, *, reason: str = _CANCELED) -> Batch:
    """Cancels a batch that the unit of work holds."""
    # All its jobs are held at once, so nobody else may hold some of the tenant's inversions and want more.
    uow.lock(items_lock(batch.tenant))
    uow.batches.cancel(batch, reason=reason)
    uow.batches.drop_waiting(batch, ItemState.CANCELED, ItemError(code=ErrorCode.CANCELED, detail=reason))
    return uow.batches.collect(batch)


def retry_failed(database: Database, tenant: str, batch_id: str, *, remember: Remember[Batch] | None = None) -> Batch:
    """Every failed item waits for a new job, with as much time as the batch once had; the batch goes on.

    Items that could not be read stay failed: send them again in another batch.

    Raises:
        NotFound: there is none with this id.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    with database.begin() as uow:
        batch = _found(uow.batches.hold(tenant, batch_id), batch_id)
        batch = uow.batches.collect(batch)
        if uow.batches.restart_failed(batch):
            batch = _found(uow.batches.get(tenant, batch_id), batch_id)
        keep_with(uow, batch, remember)
        uow.commit()
    return batch


def read_results(database: Database, tenant: str, batch_id: str, *, after: int) -> Iterator[Sequence[BatchResult]]:
    """The final items whose sequence is greater than `after`, in its order, some hundred at a time.

    Raises:
        NotFound: there is no batch with this id; raised at once, not with the first results.
    """
    with database.read() as uow:
        batch = _found(uow.batches.get(tenant, batch_id), batch_id)
    if batch.state is not BatchState.ENDED:
        _collect(database, batch)
    return _pages(database, batch, after)


def _pages(database: Database, batch: Batch, after: int) -> Iterator[Sequence[BatchResult]]:
    while True:
        with database.read() as uow:
            page = uow.batches.results(batch.tenant, batch.id, after=after, limit=_RESULTS)
        if page:
            yield page
            after = page[-1].sequence
        if len(page) < _RESULTS:
            return


def _collect(database: Database, batch: Batch) -> Batch:
    """Up to date, unless somebody else is just doing that."""
    with database.begin() as uow:
        held = uow.batches.try_hold(batch.tenant, batch.id)
        if held is None:
            return batch
        batch = uow.batches.collect(held)
        uow.commit()
    return batch


def _found(batch: Batch | None, batch_id: str) -> Batch:
    if batch is None:
        raise NotFound(f"There is no batch {batch_id}.")
    return batch
