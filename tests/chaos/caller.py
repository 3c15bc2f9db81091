"""A caller of the API who does not give up: what is not answered is sent again with the same Idempotency-Key."""

import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from itertools import count
from typing import Any, Final, final

import httpx

from tests.chaos.ledger import Fate, Ledger

_AGAIN: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_PAUSE_SECONDS = 0.3
_PATIENCE_SECONDS = 180.0


@final
class Caller:
    """One tenant's, of all API replicas in turn; any number of threads may use it."""

    def __init__(self, urls: list[str], token: str, ledger: Ledger, *, tenant: str) -> None:
        self._urls = urls
        self._turn = count()
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=20.0)
        self._ledger = ledger
        self.tenant = tenant

    def close(self) -> None:
        """Gives up every connection."""
        self._client.close()

    def submit(self, path: str, body: Mapping[str, Any], fate: Fate, **given: Any) -> dict[str, Any] | None:
        """The job or batch that this makes; None where the inversion it needs has failed meanwhile.

        Args:
            path: where it is posted.
            body: what is posted.
            fate: how the job may end.
            given: `key`, the Idempotency-Key, and `deadline_seconds`.
        """
        headers = {"Idempotency-Key": given["key"]}
        if "deadline_seconds" in given:
            headers["Cancel-After"] = str(given["deadline_seconds"])
        answer = self.post(path, body, headers=headers)
        if answer is None:
            return None
        document: dict[str, Any] = answer.json()
        if answer.status_code != HTTPStatus.ACCEPTED:
            if document.get("code") != "INVERSION_FAILED" or fate is not Fate.FAILS_ALONG:
                self._ledger.refuse(f"{path} {given['key']}: {answer.status_code} {answer.text[:300]}")
            return None
        self._ledger.accept(document["id"], fate, replayed="Idempotent-Replayed" in answer.headers)
        return document

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response | None:
        """The answer of whichever replica gives one that is more than `try again`; None when none does in minutes."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            answer = self._ask("POST", path, json=body, headers=headers)
            if answer is not None:
                return answer
            time.sleep(_PAUSE_SECONDS)
        self._ledger.refuse(f"{path}: no answer in {_PATIENCE_SECONDS:g} s")
        return None

    def get(self, path: str) -> dict[str, Any]:
        """The document at this path."""
        while (answer := self._ask("GET", path)) is None:
            time.sleep(_PAUSE_SECONDS)
        found: dict[str, Any] = answer.json()
        return found

    def look_at_readiness(self) -> None:
        """Notes whether `/readyz` names the broker; what is asked before Redis is away or said after does not count."""
        outage = self._ledger.redis_outage
        answer = self._ask("GET", "/readyz", again=())
        if answer is not None and outage and outage == self._ledger.redis_outage:
            self._ledger.count("asked without Redis")
            if "broker" in answer.json().get("failing", ""):
                self._ledger.count("told without Redis")

    def _ask(
        self, method: str, path: str, *, again: Collection[HTTPStatus] = _AGAIN, **given: Any
    ) -> httpx.Response | None:
        url = self._urls[next(self._turn) % len(self._urls)]
        outage = self._ledger.redis_outage
        try:
            answer = self._client.request(method, url + path, **given)
        except httpx.TransportError:
            self._ledger.count("no answer")
            return None
        if method == "POST" and given.get("headers") and outage and outage == self._ledger.redis_outage:
            self._ledger.note_without_redis(time.time(), accepted=answer.status_code == HTTPStatus.ACCEPTED)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code not in _AGAIN:
            self._ledger.refuse(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return None
        if answer.status_code in again and answer.json().get("code") != "INVERSION_FAILED":
            self._ledger.count(f"asked to try again: {answer.json().get('code')}")
            return None
        return answer
