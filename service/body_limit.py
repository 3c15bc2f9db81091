"""No request body is read past a limit."""

from typing import final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.domain.errors import ErrorCode, InputError
from service.problems import render


@final
class BodyLimit:
    """Refuses a declared length at once and an undeclared one as soon as it is passed (`BODY_TOO_LARGE`)."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            answer = render(self._too_large(), path=scope["path"], request_id=scope["state"]["request_id"])
            await answer(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> InputError:
        return InputError(
            ErrorCode.BODY_TOO_LARGE, f"The body has more than {self._max_bytes} bytes.", max_bytes=self._max_bytes
        )
