"""No request body is read past a limit."""

from collections.abc import Mapping
from typing import final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.domain.errors import ErrorCode, InputError
from service.problems import render


@final
class BodyLimit:
    """Refuses a declared length at once and an undeclared one as soon as it is passed (`BODY_TOO_LARGE`).

    Args:
        max_bytes: of any body.
        larger: of those at some paths, which are never in memory whole.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(scope["path"], self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            answer = render(_too_large(most), path=scope["path"], request_id=scope["state"]["request_id"])
            await answer(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _too_large(most: int) -> InputError:
    return InputError(ErrorCode.BODY_TOO_LARGE, f"The body has more than {most} bytes.", max_bytes=most)
