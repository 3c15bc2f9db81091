"""A request sent again with its Idempotency-Key is answered again and done once."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Timer
from types import ModuleType
from typing import Any, cast

import pytest
from fastapi import FastAPI
from httpx2 import Response

from core.usecases.keys import Scope
from service.routes import batches, job_actions, tenants, uploads, webhooks
from tests.service.harness import Harness, accepted, png, problem


def test_the_same_request_gets_the_first_answer(anywhere: Harness) -> None:
    body, headers = anywhere.inversion(), {"Idempotency-Key": "one"}
    first = anywhere.client.post("/inversions", json=body, headers=headers)
    anywhere.work()
    again = anywhere.client.post("/inversions", json=body, headers={"Idempotency-Key": '"one"'})

    assert again.status_code == 202
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["retry-after"] == first.headers["retry-after"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(anywhere.client.get("/jobs").json()["items"]) == 1


def test_the_same_request_waits_if_preferred(service: Harness) -> None:
    body, headers = service.inversion(), {"Idempotency-Key": "one"}
    first = accepted(service.client.post("/inversions", json=body, headers=headers))
    worker = Timer(0.5, service.work)
    worker.start()

    again = service.client.post("/inversions", json=body, headers={**headers, "Prefer": "wait=30"})

    worker.join()
    assert (again.json()["id"], again.json()["state"]) == (first["id"], "succeeded")
    assert accepted(again)["links"]["self"] == again.headers["location"]
    assert again.headers["preference-applied"] == "wait=30"
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("path", ["/inversions", "/edits"])
def test_the_same_request_is_answered_after_the_model_was_changed(
    service: Harness, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    body = {**service.inversion(), "model": "pocket", **({"target_prompt": "a blue circle"} if "edit" in path else {})}
    headers = {"Idempotency-Key": "one"}
    first = accepted(service.client.post(path, json=body, headers=headers))
    monkeypatch.setitem(vars(service.ports.model), "name", "another")

    assert accepted(service.client.post(path, json=body, headers=headers))["id"] == first["id"]
    assert problem(service.client.post(path, json=body)) == (422, "VALIDATION")


def test_another_request_with_the_same_key_is_refused(service: Harness) -> None:
    headers = {"Idempotency-Key": "one"}
    inversion = accepted(service.client.post("/inversions", json=service.inversion(), headers=headers))

    others = [
        service.client.post("/inversions", json=service.inversion(seed=1), headers=headers),
        service.client.post(f"/inversions/{inversion['id']}/cancel", headers=headers),
        service.client.post("/images", files={"image": png("blue")}, headers=headers),
    ]

    assert {problem(answer) for answer in others} == {(422, "IDEMPOTENCY_MISMATCH")}


def test_a_form_sent_again_is_the_same_request(service: Harness) -> None:
    form: dict[str, Any] = {"data": {"source_prompt": "a circle"}, "files": {"image": png()}}
    # Each time with another boundary.
    answers = [service.client.post("/inversions", **form, headers={"Idempotency-Key": "form"}) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"


def test_a_refused_request_does_not_use_the_key_up(service: Harness) -> None:
    headers = {"Idempotency-Key": "one"}
    refused = service.client.post("/inversions", json=service.inversion(method="nothing"), headers=headers)

    assert refused.status_code == 422
    accepted(service.client.post("/inversions", json=service.inversion(), headers=headers))


def test_every_post_can_be_repeated(service: Harness) -> None:
    job = service.invert()
    posts: list[tuple[str, dict[str, Any]]] = [
        ("/images", {"files": {"image": png()}}),
        (f"/inversions/{job['id']}/cancel", {}),
        (f"/inversions/{job['id']}/retry", {}),
    ]

    for path, content in posts:
        first, second = (service.client.post(path, **content, headers={"Idempotency-Key": path}) for _ in range(2))
        assert first.is_success
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert second.headers["idempotent-replayed"] == "true"


def test_two_tenants_may_use_one_key(service: Harness) -> None:
    headers = {"Idempotency-Key": "one"}
    ours = service.client.post("/images", files={"image": png()}, headers=headers)
    theirs = service.client.post("/images", files={"image": png()}, headers={**headers, **service.key("other")})

    assert theirs.status_code == 201
    assert theirs.json()["id"] != ours.json()["id"]


@pytest.mark.parametrize("key", ["", '""', "with space", "é".encode(), "x" * 256])
def test_a_key_that_is_none_is_refused(service: Harness, key: str | bytes) -> None:
    headers: Any = {"Idempotency-Key": key}

    answer = service.client.post("/inversions", json=service.inversion(), headers=headers)

    assert problem(answer) == (400, "IDEMPOTENCY_KEY_INVALID")


def test_many_at_once_make_one_job(anywhere: Harness) -> None:
    body = anywhere.inversion()

    def send(_: int) -> tuple[int, str | None]:
        answer = anywhere.client.post("/inversions", json=body, headers={"Idempotency-Key": "storm"})
        return answer.status_code, answer.json().get("id")

    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(send, range(100)))

    assert {status for status, _ in answers} <= {202, 409}
    assert len({job for status, job in answers if status == 202}) == 1
    assert len(anywhere.client.get("/jobs").json()["items"]) == 1


def test_many_at_once_make_one_endpoint(anywhere: Harness) -> None:
    answers = _storm(anywhere, "/webhook_endpoints", {"url": None})

    assert len(anywhere.client.get("/webhook_endpoints").json()["items"]) == 1
    _assert_told_once(answers, "secret")


def test_many_at_once_make_one_key(anywhere: Harness) -> None:
    answers = _storm(anywhere, "/keys", {"tenant": "new"})

    assert len(_keys(anywhere, "new")) == 1
    _assert_told_once(answers, "key")


def test_many_at_once_exchange_a_key_once(anywhere: Harness) -> None:
    anywhere.key("new")
    (old,) = _keys(anywhere, "new")

    answers = _storm(anywhere, f"/keys/{old['id']}/rotate", {"overlap_seconds": 0})

    assert len(_keys(anywhere, "new")) == 2
    _assert_told_once(answers, "key")


def test_many_at_once_cancel_a_job_with_one_answer(anywhere: Harness) -> None:
    job = anywhere.invert()

    answers = _storm(anywhere, f"/inversions/{job['id']}/cancel", {})

    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)


def test_what_was_done_before_the_process_died_is_answered_not_done_again(
    anywhere: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dies between the commit and the answer."""
    for module, name, path, body in _commits(anywhere):
        headers = {**_admin(anywhere), "Idempotency-Key": path}
        with monkeypatch.context() as patch:
            patch.setattr(module, name, _dying(getattr(module, name)))
            assert anywhere.client.post(path, json=body, headers=headers).status_code == 500
        again = anywhere.client.post(path, json=body, headers=headers)

        assert again.is_success, (path, again.text)
        assert again.headers.get("idempotent-replayed") == "true", path
        assert {again.json().get("key"), again.json().get("secret")} == {None}


def test_every_post_that_takes_a_key_says_that_its_first_request_may_be_in_flight(service: Harness) -> None:
    paths = cast(FastAPI, service.client.app).openapi()["paths"]
    posts = {path: operations["post"] for path, operations in paths.items() if "post" in operations}
    keyed = [
        path for path, post in posts.items() if any(one["name"] == "idempotency-key" for one in post["parameters"])
    ]

    assert len(keyed) > 15
    assert [
        path for path in keyed if "IDEMPOTENCY_IN_FLIGHT" not in posts[path]["responses"]["409"]["description"]
    ] == []


def _admin(service: Harness) -> dict[str, str]:
    return service.key("acme", scopes=frozenset(Scope))


def _keys(service: Harness, tenant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.client.get(
        "/keys", params={"tenant": tenant}, headers=_admin(service)
    ).json()["items"]
    return found


def _storm(service: Harness, path: str, body: dict[str, Any]) -> list[Response]:
    headers = {**_admin(service), "Idempotency-Key": "storm"}
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: service.client.post(path, json=body, headers=headers), range(32)))


def _assert_told_once(answers: list[Response], secret: str) -> None:
    """All name one thing, and the one answer that is no replay tells its secret."""
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    told = Counter((answer.json()[secret] is None, "idempotent-replayed" in answer.headers) for answer in answers)
    assert told == {(False, False): 1, (True, True): len(answers) - 1}


def _commits(service: Harness) -> list[tuple[ModuleType, str, str, dict[str, Any]]]:
    """Requests that are each done in one commit, and where that is called."""
    service.client.post("/webhook_endpoints", json={"url": "https://example.com/"})
    service.key("new")
    service.invert()
    service.work()
    (delivery,) = service.client.get("/webhook_deliveries").json()["items"]
    batch = service.client.post("/batches", json={"items": [{}]}).json()
    item = {**service.inversion(), "target_prompt": "a blue circle on grass"}
    running = service.client.post("/batches", json={"items": [item]}).json()
    queued = service.invert()
    return [
        (webhooks, "add_endpoint", "/webhook_endpoints", {"url": None}),
        (webhooks, "redeliver", f"/webhook_deliveries/{delivery['id']}/redeliver", {}),
        (tenants, "make_key", "/keys", {"tenant": "new"}),
        (tenants, "rotate_key", f"/keys/{_keys(service, 'new')[0]['id']}/rotate", {"overlap_seconds": 0}),
        (uploads, "allow_upload", "/uploads", {"media_type": "image/png"}),
        (batches, "retry_failed", f"/batches/{batch['id']}/retry_failed", {}),
        (batches, "cancel_batch", f"/batches/{running['id']}/cancel", {}),
        (job_actions, "cancel_job", f"/inversions/{queued['id']}/cancel", {}),
    ]


def _dying(do: Callable[..., Any]) -> Callable[..., Any]:
    def done_and_dead(*args: Any, **options: Any) -> Any:
        do(*args, **options)
        raise SystemError

    return done_and_dead
