"""How stored files are answered: whole, never to be asked for again, and 304 to who has them."""

from http import HTTPStatus
from typing import Any

from fastapi import Response

from service.answers import is_known
from service.dependencies import Call

PNG: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Unchanged since the answer with this ETag."}}

_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def answer_file(call: Call, key: str, *, media_type: str, version: str | None = None) -> Response:
    """The bytes under a key of the object store, which never change.

    Args:
        version: names what the file holds, where a caller may have it already.
    """
    headers = _FOR_EVER if version is None else {"ETag": f'"{version}"', **_FOR_EVER}
    if version is not None and is_known(call.request, headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(call.ports.store.get(key), media_type=media_type, headers=headers)
