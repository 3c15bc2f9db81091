"""Every route asks for a key with the right scope, and no tenant ever sees another's things."""

import re
import time
from typing import cast

import pytest
from fastapi import FastAPI
from httpx2 import Response

from core.domain.ports import Database
from core.domain.tenants import Caller
from core.usecases.keys import Scope, authenticate, list_keys, revoke_key
from service import callers
from tests.service.harness import Harness, problem
from tests.service.statements import counted

OPEN = {"/livez", "/metrics", "/readyz", "/problems", "/problems/{code}"}


def _operations(service: Harness) -> list[tuple[str, str]]:
    paths = cast(FastAPI, service.client.app).openapi()["paths"]
    return [(method, path) for path, operations in paths.items() for method in operations]


def _ask(service: Harness, method: str, path: str, headers: dict[str, str]) -> Response:
    return service.client.request(method, path, headers=headers, json={} if method == "post" else None)


def at(path: str, own_id: str) -> str:
    """The path with this id in it."""
    other = {"name": "image", "number": "1"}
    return re.sub(r"\{(\w+)\}", lambda found: other.get(found[1], own_id), path)


def test_every_other_route_refuses_a_caller_without_a_key(service: Harness) -> None:
    del service.client.headers["Authorization"]
    guarded = [(method, path) for method, path in _operations(service) if path not in OPEN]
    refused = {
        problem(_ask(service, method, at(path, "x"), headers))
        for method, path in guarded
        for headers in ({}, {"Authorization": "Bearer sk_x"}, {"Authorization": "Basic eDp5"})
    }

    assert len(guarded) > 20
    assert refused == {(401, "UNAUTHENTICATED")}


def test_a_refusal_names_the_scheme(service: Harness) -> None:
    answer = service.client.get("/jobs", headers={"Authorization": "Bearer wrong"})

    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_and_an_expired_key_are_refused(service: Harness) -> None:
    expired = service.key("acme", days=-1)
    revoked = service.key("acme")
    revoke_key(service.ports.database, list_keys(service.ports.database, "acme")[-1].id)

    for headers in (expired, revoked):
        assert problem(service.client.get("/jobs", headers=headers)) == (401, "UNAUTHENTICATED")


def test_a_key_is_looked_up_for_its_first_request_alone(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "KNOWN_SECONDS", 60.0)
    headers = service.key("acme")
    with counted(service) as statements:
        answers = [service.client.get("/jobs", headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert sum("api_keys" in statement and statement.startswith("SELECT") for statement in statements) == 1


def test_a_key_revoked_by_another_process_is_refused_within_a_second(service: Harness) -> None:
    headers = service.key("acme")
    assert service.client.get("/jobs", headers=headers).status_code == 200
    revoke_key(service.ports.database, list_keys(service.ports.database, "acme")[-1].id)
    time.sleep(callers.KNOWN_SECONDS)

    assert problem(service.client.get("/jobs", headers=headers)) == (401, "UNAUTHENTICATED")


def test_what_is_looked_up_while_keys_change_is_not_kept(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def looked_up(database: Database, token: str) -> Caller:
        asked.append(token)
        found = authenticate(database, token)
        service.ports.callers.forget()  # another request has revoked a key meanwhile
        return found

    monkeypatch.setattr(callers, "KNOWN_SECONDS", 60.0)
    monkeypatch.setattr(callers, "authenticate", looked_up)
    headers = service.key("acme")
    for _ in range(2):
        assert service.client.get("/jobs", headers=headers).status_code == 200

    assert len(asked) == 2


def test_a_key_does_what_its_scopes_allow(service: Harness) -> None:
    reader = service.key("acme", scopes=frozenset({Scope.JOBS_READ}))
    writer = service.key("acme", scopes=frozenset({Scope.JOBS_WRITE}))
    answers = [
        service.client.post("/inversions", json={}, headers=reader),
        service.client.get("/jobs", headers=writer),
    ]

    assert [problem(answer) for answer in answers] == [(403, "SCOPE_MISSING"), (403, "SCOPE_MISSING")]
    assert [answer.json()["scope"] for answer in answers] == ["jobs:write", "jobs:read"]
    assert service.client.get("/jobs", headers=reader).status_code == 200


@pytest.mark.parametrize("path", sorted(OPEN))
def test_open_routes_need_no_key(service: Harness, path: str) -> None:
    service.worker()
    del service.client.headers["Authorization"]

    assert service.client.get(path.format(code="NOT_FOUND")).status_code == 200
