"""Requests at a fixed rate, whatever becomes of the answers.

A request counts from the moment it was due, not from when it could be sent: one slow answer makes those behind it late,
as it would callers who know nothing of each other.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from threading import local
from typing import Final, final
from urllib.parse import urlsplit

import numpy as np

_CALLERS: Final = 100  # at once; a request that finds all busy waits, and that counts
_TIMEOUT_SECONDS: Final = 90.0
_SHARES: Final = (50, 95, 99)


@final
@dataclass(frozen=True, slots=True)
class Request:
    """One request, and the kind that it is counted with."""

    kind: str
    path: str
    body: bytes | None = None

    @property
    def method(self) -> str:
        """POST where there is a body."""
        return "GET" if self.body is None else "POST"


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """How a request was answered; status 0 where it was not."""

    request: Request
    status: int
    seconds: float


@final
@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, with these headers, over connections that are kept."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: local = field(default_factory=local)

    def ask(self, request: Request) -> int:
        """The status, once the whole answer is read."""
        connection = getattr(self.kept, "connection", None) or self._connect()
        headers = {**self.headers, **({} if request.body is None else {"Content-Type": "application/json"})}
        try:
            connection.request(request.method, request.path, body=request.body, headers=headers)
            response = connection.getresponse()
            response.read()
        except (HTTPException, OSError):
            self.kept.connection = None
            return 0
        return response.status

    def _connect(self) -> HTTPConnection:
        address = urlsplit(self.url)
        self.kept.connection = connection = HTTPConnection(
            address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS
        )
        return connection


def offer(target: Target, requests: Iterable[Request], *, per_second: float) -> list[Answer]:
    """Sends each request when it is due; returns when all are answered."""
    with ThreadPoolExecutor(_CALLERS) as callers:
        began_at = time.perf_counter()
        sent = []
        for number, request in enumerate(requests):
            due_at = began_at + number / per_second
            time.sleep(max(0.0, due_at - time.perf_counter()))
            sent.append(callers.submit(_measure, target, request, due_at))
        return [one.result() for one in sent]


def percentiles(answers: Sequence[Answer]) -> dict[str, float]:
    """Milliseconds within which so many of a hundred were answered, by the name of the share."""
    found = np.percentile([answer.seconds * 1000 for answer in answers], _SHARES)
    return {f"p{share}": round(float(value), 1) for share, value in zip(_SHARES, found, strict=True)}


def _measure(target: Target, request: Request, due_at: float) -> Answer:
    status = target.ask(request)
    return Answer(request, status, time.perf_counter() - due_at)
