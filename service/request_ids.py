"""Each request has an id, which is accepted, echoed, logged and put in problems; and leaves one line in the log."""

import re
import time
from typing import final

import structlog
import uuid_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.domain.errors import AppError, ErrorCode
from service.problems import render

HEADER = "X-Request-ID"

_CLIENT_CLOSED = 499  # nginx's number for a caller who went before the answer
_ACCEPTED = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_LOG: structlog.stdlib.BoundLogger = structlog.get_logger("service")


@final
class RequestIds:
    """The outermost layer: nothing that fails inside it ends without an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0
        started = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)[HEADER] = scope["state"]["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = _CLIENT_CLOSED
        except Exception:
            _LOG.exception("request failed", method=scope["method"], path=scope["path"])
            if status:  # the answer is under way; the server can only cut it off
                raise
            await _internal(scope)(scope, receive, answer)
        finally:
            _LOG.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
                tenant=scope["state"].get("tenant"),
            )


def _request_id(given: str | None) -> str:
    return given if given is not None and _ACCEPTED.fullmatch(given) else uuid_utils.uuid7().hex


def _internal(scope: Scope) -> ASGIApp:
    error = AppError(ErrorCode.INTERNAL, "The request failed on our side; tell us its request_id if it fails again.")
    return render(error, path=scope["path"], request_id=scope["state"]["request_id"])
