"""Batches over HTTP: taken whole, checked item by item, read while they run."""

import base64
import json
from typing import Any

import pytest

from core.domain.errors import ErrorCode
from core.domain.job import JobError, JobState
from core.domain.ports import Outcome
from core.usecases.keys import Scope
from service.schemas.batch_requests import EditFields
from service.schemas.requests import CreateEdit
from tests.service.harness import GOOD, Harness, png, problem

FAILED = Outcome(
    state=JobState.FAILED, error=JobError(code=ErrorCode.DIVERGED, detail="The loss is not a number.", retryable=False)
)
LINES = {"Content-Type": "application/jsonl"}


def item(number: int, **changes: Any) -> dict[str, Any]:
    """An item whose image and source prompt come from the defaults."""
    return {"custom_id": f"item-{number}", "target_prompt": "a blue circle on grass", "seed": number, **changes}


def body(service: Harness, items: list[Any], **changes: Any) -> dict[str, Any]:
    """A batch whose items share one image."""
    defaults = {"image": {"id": service.image()}, "source_prompt": "a red circle on grass"}
    return {"items": items, "defaults": {**defaults, **changes.pop("defaults", {})}, **changes}


def send(service: Harness, sent: dict[str, Any], **headers: str) -> dict[str, Any]:
    """An accepted batch."""
    answer = service.client.post("/batches", json=sent, headers=headers)
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json()
    return batch


def read(service: Harness, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as it stands."""
    found: dict[str, Any] = service.client.get(f"/batches/{batch['id']}").json()
    return found


def counts(batch: dict[str, Any]) -> dict[str, int]:
    """Its counts, without the empty ones."""
    return {state: count for state, count in batch["request_counts"].items() if count}


def results(service: Harness, batch: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    """The results so far."""
    answer = service.client.get(batch["links"]["results"], params={"after": after})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    return [json.loads(line) for line in answer.text.splitlines()]


def nested(depth: int) -> Any:
    """Lists in lists."""
    return [] if depth == 1 else [nested(depth - 1)]


def fault(service: Harness, line: Any, **defaults: Any) -> dict[str, Any]:
    """The error of the one item of a batch."""
    (found,) = results(service, send(service, body(service, [line], defaults=defaults)))
    assert found["state"] == "failed"
    error: dict[str, Any] = found["error"]
    return error


def test_an_item_that_no_database_keeps_fails_alone(anywhere: Harness) -> None:
    bad: list[dict[str, Any]] = [
        {"parameters": {"a": "\x00"}},
        {"\x00": 1},
        {"metadata": {"\x00": "x"}},
        {"parameters": {"a": nested(190)}},
        {"values": {"a": [0] * 3000}},
    ]

    batch = send(anywhere, body(anywhere, [item(0), *(item(n, **one) for n, one in enumerate(bad, start=1))]))

    assert counts(batch) == {"waiting": 1, "failed": 5}
    assert {line["error"]["code"] for line in results(anywhere, batch)} == {"VALIDATION"}


def test_a_batch_is_accepted_run_and_read(anywhere: Harness) -> None:
    batch = send(anywhere, body(anywhere, [item(0), item(1), {"custom_id": "bad"}], metadata={"campaign": "x"}))
    running = read(anywhere, batch)
    first = results(anywhere, batch)
    for _ in range(3):
        anywhere.work()
    ended = read(anywhere, batch)

    assert (batch["state"], batch["total"], counts(batch)) == ("in_progress", 3, {"waiting": 2, "failed": 1})
    assert (batch["metadata"], counts(running)) == ({"campaign": "x"}, {"waiting": 2, "failed": 1})
    assert [(line["index"], line["custom_id"], line["state"]) for line in first] == [(2, "bad", "failed")]
    assert (ended["state"], counts(ended)) == ("ended", {"succeeded": 2, "failed": 1})
    rest = results(anywhere, batch, after=first[-1]["sequence"])
    assert [(line["custom_id"], line["state"], line["result"]) for line in rest] == [
        ("item-0", "succeeded", GOOD),
        ("item-1", "succeeded", GOOD),
    ]
    assert anywhere.client.get(rest[0]["artifacts"][0]["url"]).content == png("blue")
    jobs = anywhere.client.get(batch["links"]["jobs"]).json()["items"]
    assert {(job["kind"], job["batch_id"]) for job in jobs} == {("inversion", batch["id"]), ("edit", batch["id"])}


def test_lines_of_json_are_the_same_batch(service: Harness) -> None:
    sent = body(service, [])
    head = {"batch": {"defaults": sent["defaults"], "max_failures": 5, "metadata": {"campaign": "y"}}}
    text = "\n".join([json.dumps(head), json.dumps(item(0)), "", "{no json", json.dumps(item(1))])

    batch = service.client.post("/batches", content=text, headers=LINES).json()

    assert (batch["total"], batch["max_failures"], batch["metadata"]) == (3, 5, {"campaign": "y"})
    (bad,) = results(service, batch)
    assert (bad["index"], bad["custom_id"], bad["error"]["code"]) == (1, None, "MALFORMED_JSON")
    assert bad["error"]["detail"].startswith("Line 4 is not JSON")


def test_lines_without_a_head_are_items(service: Harness) -> None:
    whole = item(0, image={"base64": base64.b64encode(png()).decode()}, source_prompt="a red circle on grass")

    answer = service.client.post(
        "/batches", content=json.dumps(whole), headers={"Content-Type": "application/x-ndjson"}
    )

    assert counts(answer.json()) == {"waiting": 1}


def test_prompts_are_filled_from_templates(service: Harness) -> None:
    defaults = {
        "image": {"id": service.image()},
        "source_prompt_template": "a photo of a {product}",
        "target_prompt_template": "a photo of a {colour} {product}",
        "parameters": {"self_window": 0.1, "cross_window": 0.2},
        "metadata": {"campaign": "x"},
    }
    values = {"product": "cup", "colour": "blue"}
    items = [
        {"custom_id": "a", "values": values, "parameters": {"self_window": 0.3}, "metadata": {"shop": "7"}},
        {"custom_id": "b", "values": values, "target_prompt": "a photo of a plate"},
    ]

    batch = send(service, {"items": items, "defaults": defaults})

    jobs = service.client.get(f"/edits?batch_id={batch['id']}").json()["items"]
    prompts = {(job["inputs"]["source_prompt"], job["inputs"]["target_prompt"]) for job in jobs}
    assert prompts == {
        ("a photo of a cup", "a photo of a blue cup"),
        ("a photo of a cup", "a photo of a plate"),
    }
    first = next(job for job in jobs if "blue" in job["inputs"]["target_prompt"])
    assert (first["parameters"]["self_window"], first["parameters"]["cross_window"]) == (0.3, 0.2)
    assert first["metadata"] == {"campaign": "x", "shop": "7"}


def test_a_value_that_a_template_lacks_fails_its_item(service: Harness) -> None:
    line = {"custom_id": "a", "values": {"product": "cup"}}

    error = fault(service, line, target_prompt_template="a photo of a {colour} {product}")

    detail = 'The target_prompt_template names "colour", and `values` has no such entry.'
    assert error["errors"] == [{"pointer": "/values/colour", "detail": detail}]


@pytest.mark.parametrize(
    ("line", "code", "pointer"),
    [
        ("text", "VALIDATION", ""),
        ({"target_prompt": "a circle"}, "VALIDATION", "/custom_id"),
        (item(0, colour="red"), "VALIDATION", "/colour"),
        (item(0, target_prompt=None), "VALIDATION", "/target_prompt"),
        (item(0, image={"base64": "AAAA"}), "IMAGE_UNREADABLE", None),
        (item(0, model="other"), "VALIDATION", "/model"),
        (item(0, parameters={"cross_window": 2}), "VALIDATION", "/parameters/cross_window"),
        (item(0, inversion_id="inv_none"), "NOT_FOUND", None),
        (item(0, image={"id": "img_none"}), "NOT_FOUND", None),
    ],
)
def test_an_item_at_fault_is_a_failed_line(service: Harness, line: Any, code: str, pointer: str | None) -> None:
    error = fault(service, line)

    assert (error["code"], [one["pointer"] for one in error["errors"]]) == (code, [] if pointer is None else [pointer])


def test_of_two_items_with_one_name_the_second_fails(service: Harness) -> None:
    batch = send(service, body(service, [item(0), item(0)]))

    (bad,) = results(service, batch)
    assert (bad["index"], bad["custom_id"], bad["error"]["errors"][0]["pointer"]) == (1, "item-0", "/custom_id")
    assert counts(batch) == {"waiting": 1, "failed": 1}


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({}, ""),
        ({"items": [item(0)], "input_upload_id": "upl_x"}, ""),
        ({"items": []}, "/items"),
        ({"items": {}}, "/items"),
        ({"items": [item(0)], "max_failures": -1}, "/max_failures"),
        ({"items": [item(0)], "expires_in": 0}, "/expires_in"),
        ({"items": [item(0)], "defaults": {"colour": "red"}}, "/defaults/colour"),
        ({"items": [item(0)], "defaults": {"target_prompt": "a", "target_prompt_template": "{a}"}}, "/defaults"),
        ([], ""),
    ],
)
def test_a_bad_envelope_is_refused(service: Harness, sent: Any, pointer: str) -> None:
    answer = service.client.post("/batches", json=sent)

    assert problem(answer) == (422, "VALIDATION")
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        ("{", "application/json", (400, "MALFORMED_JSON")),
        ("", "application/jsonl", (422, "VALIDATION")),
        ('{"batch": {"expires_in": "soon"}}', "application/jsonl", (422, "VALIDATION")),
        ("{}\n" * 50_001, "application/jsonl", (422, "VALIDATION")),
        ("{}", "text/plain", (415, "MEDIA_TYPE")),
    ],
    ids=["no json", "no item", "bad head", "too many", "text"],
)
def test_a_body_that_is_no_batch_is_refused(
    service: Harness, content: str, media_type: str, expected: tuple[int, str]
) -> None:
    answer = service.client.post("/batches", content=content, headers={"Content-Type": media_type})

    assert problem(answer) == expected
    assert service.client.get("/batches").json()["items"] == []


def test_a_batch_sent_again_is_the_same_batch(anywhere: Harness) -> None:
    sent = body(anywhere, [item(0), {"custom_id": "bad"}])
    first = anywhere.client.post("/batches", json=sent, headers={"Idempotency-Key": "one"})
    anywhere.work()
    again = anywhere.client.post("/batches", json=sent, headers={"Idempotency-Key": "one"})
    other = anywhere.client.post("/batches", json={**sent, "max_failures": 1}, headers={"Idempotency-Key": "one"})

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"] == f"/batches/{first.json()['id']}"
    assert problem(other) == (422, "IDEMPOTENCY_MISMATCH")
    assert len(anywhere.client.get("/batches").json()["items"]) == 1


def test_a_canceled_batch_ends_and_its_failures_can_be_tried_again(anywhere: Harness) -> None:
    batch = send(anywhere, body(anywhere, [item(number) for number in range(30)]))
    anywhere.work()
    anywhere.work(FAILED)
    canceled = anywhere.client.post(batch["links"]["cancel"])
    again = anywhere.client.post(batch["links"]["cancel"])
    queued = anywhere.client.get("/jobs?state=queued").json()["items"]
    retried = anywhere.client.post(batch["links"]["retry_failed"])
    anywhere.work()

    assert (canceled.status_code, again.status_code, queued) == (202, 200, [])
    assert counts(canceled.json()) == {"failed": 1, "canceled": 29}
    assert (retried.status_code, counts(retried.json())) == (202, {"waiting": 1, "canceled": 29})
    assert counts(read(anywhere, batch)) == {"succeeded": 1, "canceled": 29}
    assert {line["error"]["code"] for line in results(anywhere, batch) if line["state"] == "canceled"} == {"CANCELED"}


def test_an_item_shows_the_newest_of_its_jobs(service: Harness) -> None:
    batch = send(service, body(service, [item(0)]))
    service.work()
    failed = service.work(FAILED)
    (before,) = results(service, batch)
    again = service.client.post(f"/edits/{failed}/retry").json()
    service.work()

    (after,) = results(service, batch)
    assert (before["job_id"], before["error"]["code"], before["error"]["retryable"]) == (failed, "DIVERGED", False)
    assert (after["job_id"], after["state"], after["error"]) == (again["id"], "succeeded", None)
    assert after["sequence"] > before["sequence"]


def test_a_batch_needs_its_own_scope(service: Harness) -> None:
    sent = body(service, [item(0)])
    service.client.headers.update(service.key("acme", scopes=frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE})))

    assert problem(service.client.post("/batches", json=sent)) == (403, "SCOPE_MISSING")


def test_batches_are_listed_page_by_page(service: Harness) -> None:
    made = [send(service, body(service, [item(0)]))["id"] for _ in range(5)]

    page = service.client.get("/batches?page_size=2").json()
    seen = [batch["id"] for batch in page["items"]]
    while page["next_page_token"]:
        page = service.client.get(f"/batches?page_size=2&page_token={page['next_page_token']}").json()
        seen += [batch["id"] for batch in page["items"]]

    assert seen == made[::-1]
    assert problem(service.client.get("/batches?page_token=x")) == (400, "INVALID_PAGE_TOKEN")


def test_a_json_body_is_held_to_the_limit_of_any_body_and_lines_to_their_own(service: Harness) -> None:
    most = service.ports.settings.max_body_bytes
    padding = " " * most

    refused = service.client.post("/batches", content=f"{{{padding}}}", headers={"Content-Type": "application/json"})
    lines = f"{json.dumps(item(0))}\n{{{padding}}}\n{json.dumps(item(1))}"
    taken = service.client.post("/batches", content=lines, headers=LINES).json()

    assert problem(refused) == (413, "BODY_TOO_LARGE")
    assert [line["error"]["code"] for line in results(service, taken)] == ["VALIDATION", "BODY_TOO_LARGE", "VALIDATION"]


def test_an_item_may_leave_open_every_field_of_an_edit() -> None:
    assert set(EditFields.model_fields) == set(CreateEdit.model_fields)
