"""Request bodies: JSON or multipart on the same routes, read once, checked into one model, and fingerprinted."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, final

from fastapi import Depends, Request
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from core.domain.errors import ErrorCode, FieldError, InputError
from service.documents import parse_document
from service.failures import validated
from service.schemas.fields import Body

BodyModel = TypeVar("BodyModel", bound=Body)

# A multipart field is text; of these the text is JSON.
_JSON_FIELDS = frozenset({"image", "inversion", "metadata", "parameters", "webhook"})
_FILE = "image"
_CHARSETS = {b"utf-8", b"utf8", b"us-ascii"}
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


def media_type_of(request: Request) -> str | None:
    """What a request says that its body is; None where it says nothing.

    Raises:
        InputError: MEDIA_TYPE, for another encoding than UTF-8: some have no decoder for every body, or a slow one.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise InputError(ErrorCode.MEDIA_TYPE, "Send the body in UTF-8.")
    return media_type.decode("latin-1") or None


async def read_raw(request: Request) -> Raw:
    """Reads the body and nothing more."""
    match media_type_of(request):
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
        return parse_document(raw.json, what="The body")
    content: dict[str, Any] = {}
    for name, text in raw.fields:
        if name in content:
            raise _faulty(name, "given more than once")
        content[name] = parse_document(text.encode(), what="The body") if name in _JSON_FIELDS else text
    if raw.file is not None:
        if file_at[0] in content:
            raise _faulty(file_at[0], "given more than once")
        value: Any = raw.file
        for part in reversed(file_at[1:]):
            value = {part: value}
        content[file_at[0]] = value
    return content


def _faulty(name: str, detail: str) -> InputError:
    fault = FieldError(f"/{name}", detail)
    return InputError(ErrorCode.VALIDATION, "The form has a faulty field; see `errors`.", errors=(fault,))


def _digest(value: object) -> str:
    assert isinstance(value, bytes)  # noqa: S101 - all else is JSON
    return hashlib.sha256(value).hexdigest()
