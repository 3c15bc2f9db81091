"""Batches: many edits at once."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import TypeAdapter

from core.domain.batch import Batch, BatchFilter, BatchItem, BatchResult, BatchState
from core.domain.errors import ErrorCode, Unavailable
from core.usecases.batches import (
    BatchOrder,
    accept_batch,
    cancel_batch,
    get_batch,
    list_batches,
    read_results,
    retry_failed,
)
from core.usecases.idempotency import Remember
from core.usecases.images import check_image_url
from core.usecases.tending import tend_batch
from core.usecases.uploads import read_lines
from service.answers import make_once, once, remembering, stop_once
from service.batch_bodies import JSON_LINES, BatchBody, parse_batch, read_batch
from service.batch_items import Preparing
from service.bodies import fingerprint
from service.dependencies import BatchId, Call, PostingBatches, Reading
from service.openapi import request_body
from service.paging import place_of, token_after
from service.problems import REPEATABLE, declared
from service.routes.listing import MOST_ON_A_PAGE, Page
from service.routes.submission import SUBMITTED, image_id, refuse_other_model, webhook_of
from service.schemas.batch_requests import BatchEnvelope, CreateBatch
from service.schemas.batches import BatchPage, BatchView, ResultView
from service.schemas.requests import ImageInput

router = APIRouter(prefix="/batches", tags=["batches"])

_POSTED = (*REPEATABLE, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION)
_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One document a line, each a `ResultView`.",
        "content": {JSON_LINES[0]: {"schema": {"type": "string"}}},
    }
}
_ENDED: dict[int | str, dict[str, Any]] = {200: {"model": BatchView, "description": "The batch had already ended."}}
_IN_MEMORY = 2**20  # bytes of prepared items; what is longer goes to a file
_POLL_SECONDS = 5  # a batch lasts minutes
_ITEM = TypeAdapter(BatchItem)

_After = Annotated[int, Query(ge=0, le=2**53, description="The `sequence` of the last line already read.")]


@router.post(
    "",
    status_code=202,
    response_model=BatchView,
    responses=declared(*SUBMITTED),
    openapi_extra=request_body(CreateBatch, lines=JSON_LINES),
)
def create_batch(*, call: PostingBatches, body: Annotated[BatchBody, Depends(read_batch)]) -> Response:
    """Takes many edits at once, as JSON, as lines of JSON, one item a line, or as a file of lines that was uploaded.

    The first line may be `{"batch": {…}}` with all that is not `items`. An item at fault does not fail the batch: it
    is a failed line of the results, with its problem.
    """
    return once(call, body.fingerprint, lambda: _accept(call, body))


@router.get("", responses=declared(ErrorCode.INVALID_PAGE_TOKEN, ErrorCode.VALIDATION), name="list")
def list_all(*, call: Reading, page: Annotated[Page, Query()]) -> BatchPage:
    """Batches, newest first."""
    query = BatchFilter(tenant=call.tenant)
    size = min(page.page_size, MOST_ON_A_PAGE)
    after = None if page.page_token is None else place_of(page.page_token, query)
    batches = list_batches(call.ports.database, replace(query, after=after, limit=size + 1))
    return BatchPage(
        items=[BatchView.of(batch) for batch in batches[:size]],
        next_page_token=token_after(batches[size - 1], query) if len(batches) > size else None,
    )


@router.get("/{batch_id}", response_model=BatchView, responses=declared(ErrorCode.NOT_FOUND))
def read(*, call: Reading, batch_id: BatchId) -> Response:
    """A batch as it stands; while it has not ended, Retry-After says when to look again."""
    batch = get_batch(call.ports.database, call.tenant, batch_id)
    return JSONResponse(_body(batch), headers=_polling(batch))


@router.get(
    "/{batch_id}/results",
    response_class=StreamingResponse,
    responses={**_LINES, **declared(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION)},
)
def results(*, call: Reading, batch_id: BatchId, after: _After = 0) -> Response:
    """The items that are final so far, one line each, in the order in which they became so.

    Read on with `after`, the `sequence` of the last line, while the batch runs or when a connection broke. An item
    that is tried again has another line later, which replaces the first.
    """
    pages = read_results(call.ports.database, call.tenant, batch_id, after=after)
    return StreamingResponse(_rendered(pages), media_type=JSON_LINES[0], headers={"Cache-Control": "no-store"})


@router.post(
    "/{batch_id}/cancel", status_code=202, response_model=BatchView, responses={**_ENDED, **declared(*_POSTED)}
)
def cancel(*, call: PostingBatches, batch_id: BatchId) -> Response:
    """Stops a batch: nothing of it starts any more, what runs stops within two calls of the model (202).

    One that has ended stays as it is (200). An inversion that other edits need goes on for them.
    """

    def stop(remember: Remember[tuple[Batch, bool]] | None) -> tuple[Batch, bool]:
        stopped = cancel_batch(call.ports.database, call.tenant, batch_id, remember=remember)
        call.ports.wakeups.send()  # a duplicate of another batch may have taken an inversion's place in the queue
        return stopped

    return stop_once(call, fingerprint(call.request), stop, show=BatchView.of)


@router.post("/{batch_id}/retry_failed", status_code=202, response_model=BatchView, responses=declared(*_POSTED))
def retry(*, call: PostingBatches, batch_id: BatchId) -> Response:
    """Makes new jobs of the items that have failed; a batch that had ended goes on, with its whole time again.

    Items that could not be read stay failed: send them again in another batch.
    """

    def make(remember: Remember[Batch] | None) -> tuple[Batch, dict[str, Any]]:
        batch = retry_failed(call.ports.database, call.tenant, batch_id, remember=remember)
        _tend(call, batch)
        return batch, {}

    return make_once(call, fingerprint(call.request), make, status=HTTPStatus.ACCEPTED, show=BatchView.of)


def _accept(call: Call, body: BatchBody) -> Response:
    ports = call.ports
    envelope, contents = parse_batch(
        body, lambda upload_id: read_lines(ports.database, ports.store, call.tenant, upload_id=upload_id)
    )
    webhook = webhook_of(call, envelope.webhook)
    with SpooledTemporaryFile(_IN_MEMORY) as prepared:
        total, refused = _prepare(call, envelope, contents=contents, into=prepared)
        prepared.seek(0)
        order = BatchOrder(
            tenant=call.tenant,
            limits=call.limits,
            total=total,
            refused=refused,
            expires_in_seconds=envelope.expires_in or call.wish.deadline_seconds,
            max_failures=envelope.max_failures,
            max_attempts=ports.settings.max_attempts,
            metadata=envelope.metadata,
            webhook=webhook,
            remember=remembering(call, body.fingerprint, lambda batch: (HTTPStatus.ACCEPTED, BatchView.of(batch))),
        )
        batch = accept_batch(ports.database, order, map(_ITEM.validate_json, prepared))
    _tend(call, batch)
    headers = {"Location": f"/batches/{batch.id}", **_polling(batch)}
    return JSONResponse(_body(batch), HTTPStatus.ACCEPTED, headers=headers)


def _prepare(call: Call, envelope: BatchEnvelope, *, contents: Iterable[Any], into: IO[bytes]) -> tuple[int, int]:
    """Writes the prepared items, with no transaction open; returns how many there are, and how many have failed."""
    defaults = envelope.defaults
    if defaults.image is not None:
        # Once for all items.
        kept = ImageInput(id=image_id(call, defaults.image))
        defaults = defaults.model_copy(update={"image": kept})
    preparing = Preparing(
        defaults=defaults,
        keep_image=lambda image: image_id(call, image),
        check_url=lambda url: check_image_url(call.ports.web, call.owner, url),
        keep_webhook=lambda webhook: webhook_of(call, webhook),
        check_model=lambda name: refuse_other_model(call, name),
    )
    total = refused = 0
    for number, content in enumerate(contents):
        item = preparing.prepare(number, content)
        into.write(_ITEM.dump_json(item) + b"\n")
        total, refused = number + 1, refused + (item.request is None)
    return total, refused


def _tend(call: Call, batch: Batch) -> None:
    # The batch is kept: whatever fails now, the sweeper does it.
    with suppress(Unavailable):
        tend_batch(call.ports.database, call.ports.wakeups, call.ports.model, tenant=batch.tenant, batch_id=batch.id)


def _rendered(pages: Iterable[Iterable[BatchResult]]) -> Iterator[bytes]:
    for page in pages:
        yield b"".join(ResultView.of(found).model_dump_json().encode() + b"\n" for found in page)


def _body(batch: Batch) -> dict[str, Any]:
    return BatchView.of(batch).model_dump(mode="json")


def _polling(batch: Batch) -> dict[str, str]:
    return {} if batch.state is BatchState.ENDED else {"Retry-After": str(_POLL_SECONDS)}
