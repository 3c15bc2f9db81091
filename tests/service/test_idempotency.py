"""A request sent again with its Idempotency-Key is answered again and done once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

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
