"""Whatever goes wrong is a whole problem document with a stable code, and tells nothing of our inside."""

from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.domain.errors import ErrorCode, Unavailable
from core.settings import Settings
from service.app import create_app
from service.callers import Callers
from service.problems import PROBLEMS
from service.waiting import Poller
from tests.service.harness import FailingDatabase, Harness, png, problem


def _beside(service: Harness, failure: Exception) -> Iterator[TestClient]:
    """The same service, its database failing."""
    database = FailingDatabase(failure)
    ports = replace(service.ports, database=database, callers=Callers(database), poller=Poller(lambda _ids: ()))
    with TestClient(create_app(ports.settings, build=lambda _settings: ports)) as client:
        client.headers["Authorization"] = "Bearer sk_" + "0" * 26 + "_" + "0" * 40
        yield client


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(PROBLEMS) == set(ErrorCode)
    assert all(kind.status >= HTTPStatus.BAD_REQUEST for kind in PROBLEMS.values())
    assert len({kind.title for kind in PROBLEMS.values()}) == len(PROBLEMS)


def test_every_code_is_explained_where_its_type_points(service: Harness) -> None:
    listed = service.client.get("/problems").json()

    assert [kind["code"] for kind in listed] == list(ErrorCode)
    assert [service.client.get(f"/problems/{code}").json() for code in ErrorCode] == listed
    assert problem(service.client.get("/problems/NONE")) == (422, "VALIDATION")


def test_an_unknown_path_is_not_found(service: Harness) -> None:
    for path in ("/nothing", "/jobs/x/y/z", "/inversions/"):
        assert problem(service.client.get(path)) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/inversions", "GET, POST"),
        ("PATCH", "/inversions/inv_x", "GET, DELETE"),
        ("GET", "/edits/edt_x/cancel", "POST"),
        ("DELETE", "/livez", "GET"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_a_path_lacks_is_answered_with_those_it_has(
    service: Harness, method: str, path: str, allowed: str
) -> None:
    answer = service.client.request(method, path)

    assert problem(answer) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "text", ["", "{", "nul", "NaN", '{"seed": 1' + "0" * 5000 + "}", "[" * 10_000, '"\\ud800"', "\xff"]
)
def test_a_body_that_is_no_json_is_refused(service: Harness, text: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.client.post("/inversions", content=text.encode("latin-1"), headers=headers)

    assert problem(answer) == (400, "MALFORMED_JSON")
    assert str(answer.json()["column"]) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"a":' * 33 + "1" + "}" * 33, ""),
        ("[" + "0," * 2000 + "0]", ""),
        ('{"metadata": {"a": 0, "b": {' + ",".join(f'"{n}": 0' for n in range(2000)) + "}}}", ""),
        ('{"parameters": {"a": ["\\u0000"]}}', "/parameters/a/0"),
        ('{"parameters": {"a": {"\\u0000": 1}}}', "/parameters/a"),
    ],
    ids=["deep", "long", "wide", "a text with NUL", "a name with NUL"],
)
def test_json_that_no_request_needs_has_one_fault(service: Harness, text: str, pointer: str) -> None:
    for path in ("/images", "/inversions", "/edits", "/batches", "/webhook_endpoints"):
        answer = service.client.post(path, content=text, headers={"Content-Type": "application/json"})
        assert problem(answer) == (422, "VALIDATION")
        assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


def test_of_very_many_faults_the_first_are_told(service: Harness) -> None:
    answer = service.client.post("/webhook_endpoints", json={"events": [0] * 1000})

    assert problem(answer) == (422, "VALIDATION")
    assert len(answer.json()["errors"]) == 100


@pytest.mark.parametrize("text", ["null", "[]", "1", '"x"', "{}", "1e999", '{"image": {"image": {"image": {}}}}'])
def test_json_of_another_shape_is_refused(service: Harness, text: str) -> None:
    for path in ("/images", "/inversions", "/edits"):
        answer = service.client.post(path, content=text, headers={"Content-Type": "application/json"})
        assert problem(answer) == (422, "VALIDATION")
        assert answer.json()["errors"]


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "image/png", "%%%"])
def test_another_media_type_is_refused(service: Harness, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}

    assert problem(service.client.post("/images", content=b"x", headers=headers)) == (415, "MEDIA_TYPE")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"--b\r\n\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"]
)
def test_a_form_that_is_none_is_refused(service: Harness, content: bytes) -> None:
    answer = service.client.post(
        "/images", content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert problem(answer)[0] in {400, 422}


@pytest.mark.parametrize("charset", ["undefined", "punycode", "utf-7", "unicode_escape", "utf-8; charset=idna", "no"])
@pytest.mark.parametrize("path", ["/inversions", "/uploads/{}"])
def test_a_form_in_another_encoding_is_refused(service: Harness, path: str, charset: str) -> None:
    upload = service.client.post("/uploads", json={"media_type": "image/png"}).json()["id"]
    headers = {"Content-Type": f"multipart/form-data; boundary=b; charset={charset}"}
    content = b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n\\ud800+2AA-\r\n--b--\r\n'

    assert problem(service.client.post(path.format(upload), content=content, headers=headers)) == (415, "MEDIA_TYPE")


def test_a_form_without_a_boundary_is_refused(service: Harness) -> None:
    answer = service.client.post("/images", content=b"x", headers={"Content-Type": "multipart/form-data"})

    assert problem(answer) == (400, "MALFORMED_JSON")


def test_a_form_with_too_much_in_it_is_refused(service: Harness) -> None:
    fields = service.client.post("/inversions", data={f"n{n}": "x" for n in range(40)}, files={"image": png()})
    files = service.client.post("/inversions", files=[("image", png()), ("image", png("blue"))])
    long = service.client.post("/inversions", data={"parameters": "x" * 70_000}, files={"image": png()})

    assert {problem(answer) for answer in (fields, files, long)} == {(400, "MALFORMED_JSON")}


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_past_the_limit_is_not_read(settings: Settings, service: Harness, *, declared: bool) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 2**20
            yield bytes(2**20)

    content: Any = b"".join(parts()) if declared else parts()
    answer = service.client.post("/images", content=content, headers={"Content-Type": "application/json"})

    assert problem(answer) == (413, "BODY_TOO_LARGE")
    assert answer.json()["max_bytes"] == settings.max_body_bytes


def test_an_unforeseen_failure_is_reported_without_its_inside(service: Harness) -> None:
    for client in _beside(service, RuntimeError("the secret is 42")):
        answer = client.get("/jobs", headers={"X-Request-ID": "mine"})

        assert problem(answer) == (500, "INTERNAL")
        assert "secret" not in answer.text
        assert answer.json()["request_id"] == "mine"


def test_a_database_that_is_away_is_a_503(service: Harness) -> None:
    for client in _beside(service, Unavailable("The database does not answer.")):
        answer = client.get("/jobs")

        assert problem(answer) == (503, "DEPENDENCY_DOWN")
        assert answer.headers["retry-after"] == "1"


def test_a_request_id_is_echoed_or_made(service: Harness) -> None:
    given = service.client.get("/livez", headers={"X-Request-ID": "abc-123"}).headers["x-request-id"]
    made = [service.client.get("/livez").headers["x-request-id"] for _ in range(2)]
    hostile = service.client.get("/livez", headers={"X-Request-ID": "a b"}).headers["x-request-id"]

    assert given == "abc-123"
    assert len(set(made)) == 2
    assert hostile != "a b"


def test_ready_names_the_failing_parts(service: Harness) -> None:
    alone = service.client.get("/readyz")
    service.worker()
    ready = service.client.get("/readyz")

    assert problem(alone) == (503, "DEPENDENCY_DOWN")
    assert alone.json()["failing"] == "workers"
    assert "jobs are accepted" in alone.json()["detail"]
    assert ready.json() == {
        "status": "ok",
        "parts": {"database": "ok", "store": "ok", "broker": "ok", "workers": "ok"},
    }
    for client in _beside(service, Unavailable("The database does not answer.")):
        answer = client.get("/readyz")
        assert problem(answer) == (503, "DEPENDENCY_DOWN")
        assert answer.json()["failing"] == "database, workers"
        assert client.get("/livez").status_code == 200
