"""Request bodies: JSON or multipart on the same routes, read once, checked into one model, and fingerprinted."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any, Generic, TypeVar, final

import pydantic_core
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from core.domain.errors import AppError, ErrorCode, FieldError, InputError
from service.failures import validated
from service.schemas.fields import Body

BodyModel = TypeVar("BodyModel", bound=Body)

# A multipart field is text; of these the text is JSON.
_JSON_FIELDS = frozenset({"image", "inversion", "metadata", "parameters", "webhook"})
_FILE = "image"
_MAX_FORM_FIELDS = 32
_MAX_FIELD_BYTES = 2**16
_SMALL_BYTES = 2**14  # decoded in less time than it takes to hand it to a thread, where all else is decoded


@final
@dataclass(frozen=True, slots=True)
class Raw:
    """A body as it came: the text of a JSON document, or a form's fields and its file."""

    json: bytes | None = None
    fields: tuple[tuple[str, str], ...] = ()
    file: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.json or b"") + len(self.file or b"") + sum(len(text) for _, text in self.fields)


@final
@dataclass(frozen=True, slots=True)
class Received(Generic[BodyModel]):
    """A sound body, and a digest of what was asked: equal for a request that is sent again."""

    body: BodyModel
    fingerprint: str


async def read_raw(request: Request) -> Raw:
    """Reads the body and nothing more."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    match header.get_content_type() if request.headers.get("content-type") else None:
        case "application/json":
            return Raw(json=await request.body())
        case "multipart/form-data":
            return await _read_form(request)
        case _:
            raise InputError(ErrorCode.MEDIA_TYPE, "Send application/json or multipart/form-data.")


def received(
    model: type[BodyModel], *, file_at: tuple[str, ...] = ("image", "base64")
) -> Callable[..., Awaitable[Received[BodyModel]]]:
    """The dependency that checks a body against a model; an uploaded file takes its place at `file_at`."""

    def decode(request: Request, raw: Raw) -> Received[BodyModel]:
        content = _content(raw, file_at)
        return Received(validated(model, content), fingerprint(request, content))

    async def check(request: Request, raw: Annotated[Raw, Depends(read_raw)]) -> Received[BodyModel]:
        if raw.size <= _SMALL_BYTES:
            return decode(request, raw)
        return await run_in_threadpool(decode, request, raw)

    return check


def fingerprint(request: Request, content: object = None) -> str:
    """SHA-256 over method, path and content."""
    canonical = json.dumps(content, sort_keys=True, default=_digest)
    return hashlib.sha256(f"{request.method} {request.url.path}\n{canonical}".encode()).hexdigest()


async def _read_form(request: Request) -> Raw:
    async with request.form(max_files=1, max_fields=_MAX_FORM_FIELDS, max_part_size=_MAX_FIELD_BYTES) as form:
        fields: list[tuple[str, str]] = []
        file = None
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields.append((name, value))
            elif name == _FILE:
                file = await value.read()
            else:
                raise _faulty(name, f"no such file field; the image's is `{_FILE}`")
    return Raw(fields=tuple(fields), file=file)


def _content(raw: Raw, file_at: tuple[str, ...]) -> Any:
    if raw.json is not None:
        return _parsed(raw.json)
    content: dict[str, Any] = {}
    for name, text in raw.fields:
        if name in content:
            raise _faulty(name, "given more than once")
        content[name] = _parsed(text.encode()) if name in _JSON_FIELDS else text
    if raw.file is not None:
        if file_at[0] in content:
            raise _faulty(file_at[0], "given more than once")
        value: Any = raw.file
        for part in reversed(file_at[1:]):
            value = {part: value}
        content[file_at[0]] = value
    return content


def _parsed(text: bytes) -> Any:
    try:
        return pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        # The parser's sentence ends in "at line 1 column 2".
        numbers = [int(word) for word in str(error).split() if word.isdecimal()][-2:]
        place = dict(zip(("line", "column"), numbers, strict=False))
        raise AppError(ErrorCode.MALFORMED_JSON, f"The body is not JSON: {error}.", errors=(), **place) from error


def _faulty(name: str, detail: str) -> InputError:
    fault = FieldError(f"/{name}", detail)
    return InputError(ErrorCode.VALIDATION, "The form has a faulty field; see `errors`.", errors=(fault,))


def _digest(value: object) -> str:
    assert isinstance(value, bytes)  # noqa: S101 - all else is JSON
    return hashlib.sha256(value).hexdigest()
