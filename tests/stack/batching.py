"""A batch, sent and tended without HTTP."""

from collections.abc import Sequence
from typing import Any

from core.domain.batch import Batch, BatchItem, BatchResult, ItemError, ItemState
from core.domain.inversion_specs import InversionMethod
from core.usecases.batches import BatchOrder, accept_batch, get_batch, read_results
from core.usecases.requests import EditRequest, InversionRequest
from core.usecases.tending import tend_batch
from tests.stack.submitting import PROMPT, Caller

TARGET = "a green circle on a blue background"
BAD = ItemError(code="VALIDATION", detail="This line is no item.")


def item(number: int, image_id: str, **changes: Any) -> BatchItem:
    """A sound item with a cheap inversion."""
    inversion = InversionRequest(
        image_id=image_id, source_prompt=PROMPT, method=InversionMethod.DDIM, parameters={"timesteps": 5}
    )
    edit = EditRequest(**{"inversion": inversion, "target_prompt": TARGET, **changes})
    request = {"edit": edit.to_document(), "metadata": {"line": str(number)}}
    return BatchItem(number=number, custom_id=f"item-{number}", request=request)


def refused(number: int) -> BatchItem:
    """A line that was no item."""
    return BatchItem(number=number, custom_id=None, request=None, state=ItemState.FAILED, error=BAD)


def send(caller: Caller, items: Sequence[BatchItem], **options: Any) -> Batch:
    """Accepts a batch and makes no job yet."""
    bad = sum(one.state is ItemState.FAILED for one in items)
    order = BatchOrder(**{"tenant": "acme", "total": len(items), "refused": bad, **options})
    return accept_batch(caller.database, order, items)


def tend(caller: Caller, batch: Batch) -> Batch:
    """Tends it once and reads it."""
    tend_batch(caller.database, caller.wakeups, caller.model, tenant=batch.tenant, batch_id=batch.id)
    return read(caller, batch)


def read(caller: Caller, batch: Batch) -> Batch:
    """The batch as it stands."""
    return get_batch(caller.database, batch.tenant, batch.id)


def counted(batch: Batch) -> dict[str, int]:
    """Its counts, without the empty ones."""
    return {state.value: count for state, count in batch.counts.items() if count}


def results(caller: Caller, batch: Batch, *, after: int = 0) -> list[BatchResult]:
    """Every result so far."""
    pages = read_results(caller.database, batch.tenant, batch.id, after=after)
    return [result for page in pages for result in page]
