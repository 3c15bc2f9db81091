"""Bodies of batches: JSON, or lines of JSON that are never in memory together; items are checked one by one."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any, final

from fastapi import Request

from core.domain.errors import AppError, ErrorCode, FieldError, InputError
from core.usecases.batches import MAX_ITEMS
from service.bodies import media_type_of
from service.dependencies import UsedPorts
from service.documents import parse_document
from service.failures import validated
from service.schemas.batch_requests import BatchEnvelope, CreateBatch

JSON_LINES = ("application/jsonl", "application/x-ndjson")
_HEAD = "batch"  # a first line with this key alone is the envelope
_IN_MEMORY = 2**20  # bytes of a body; what is longer goes to a file


@final
@dataclass(frozen=True, slots=True)
class BatchBody:
    """A body as it came, in a file that is gone when the request is over; a line has at most `max_line_bytes`."""

    file: IO[bytes]
    lines: bool
    fingerprint: str
    max_line_bytes: int


async def read_batch(request: Request, ports: UsedPorts) -> AsyncIterator[BatchBody]:
    """Writes the body into a file and nothing more; JSON, which is parsed whole, is held to the limit of any body.

    Raises:
        InputError: MEDIA_TYPE or BODY_TOO_LARGE.
    """
    media_type = media_type_of(request)
    if media_type not in {"application/json", *JSON_LINES}:
        raise InputError(ErrorCode.MEDIA_TYPE, f"Send application/json or {' or '.join(JSON_LINES)}.")
    lines, most = media_type != "application/json", ports.settings.max_body_bytes
    digest = hashlib.sha256(f"{request.method} {request.url.path} {lines}\n".encode())
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        async for part in request.stream():
            digest.update(part)
            file.write(part)
            if not lines and file.tell() > most:
                raise _too_large(most)
        file.seek(0)
        yield BatchBody(file, lines, digest.hexdigest(), most)


def parse_batch(body: BatchBody, read_upload: Callable[[str], bytes]) -> tuple[BatchEnvelope, Iterator[Any]]:
    """The envelope, and the items as parsed JSON; an item that is none is an AppError in its place.

    Args:
        body: as it came.
        read_upload: the lines that were sent to the upload with this id.

    Raises:
        AppError: MALFORMED_JSON, or VALIDATION of the envelope.
    """
    if body.lines:
        return _parse_lines(body.file, body.max_line_bytes, given={})
    content = parse_document(body.file.read(), what="The body")
    batch = validated(CreateBatch, content, apart="items")
    if batch.input_upload_id is None:
        return batch, iter(batch.items)
    given = {name: value for name, value in content.items() if name != "input_upload_id"}
    return _parse_lines(BytesIO(read_upload(batch.input_upload_id)), body.max_line_bytes, given=given)


def _parse_lines(file: IO[bytes], max_line_bytes: int, *, given: dict[str, Any]) -> tuple[BatchEnvelope, Iterator[Any]]:
    rest = (_line(number, text) for number, text in _lines(file, max_line_bytes))
    first = next(rest, None)
    if isinstance(first, dict) and first.keys() == {_HEAD}:
        head = first[_HEAD]
        whole = {**head, **given} if isinstance(head, dict) else head
        return validated(BatchEnvelope, whole, root=f"/{_HEAD}"), _counted(rest)
    return BatchEnvelope.model_validate(given), _counted(rest if first is None else _chain(first, rest))


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    count = 0
    for count, item in enumerate(items, start=1):
        if count > MAX_ITEMS:
            break
        yield item
    if not 1 <= count <= MAX_ITEMS:
        detail = f"A batch has 1 to {MAX_ITEMS} items."
        raise InputError(
            ErrorCode.VALIDATION, detail, errors=(FieldError("/items", detail),), min_items=1, max_items=MAX_ITEMS
        )


def _lines(file: IO[bytes], max_line_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not empty, with their numbers; None for one that is too long to be read."""
    number = 0
    while line := file.readline(max_line_bytes + 1):
        number += 1
        if len(line) > max_line_bytes and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(max_line_bytes)
            yield number, None
        elif line.strip():
            yield number, line


def _line(number: int, text: bytes | None) -> Any:
    if text is None:
        return InputError(ErrorCode.BODY_TOO_LARGE, f"Line {number} is too long to be read.", line=number)
    try:
        return parse_document(text, what=f"Line {number}")
    except AppError as error:
        return error


def _too_large(most: int) -> InputError:
    detail = f"The body has more than {most} bytes; send more as application/jsonl."
    return InputError(ErrorCode.BODY_TOO_LARGE, detail, max_bytes=most)
