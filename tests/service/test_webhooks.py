"""Ends of jobs are told at least once, signed, with one id for all tries, whatever ends or breaks meanwhile."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from core.settings import Settings
from core.usecases.tending import tend_batches
from tests.servers.site import Page, Site, site
from tests.service.conftest import serve
from tests.service.harness import Harness, accepted, problem

HOST = "127.0.0.2"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """May call the machine's own addresses without TLS."""
    return Settings(data_dir=tmp_path, outbound_http=True, outbound_networks="127.0.0.2/32", outbound_seconds=2)


@pytest.fixture
def hook() -> Iterator[Site]:
    """Where deliveries go."""
    with site(HOST) as receiver:
        receiver.pages["/hook"] = Page(status=204)
        yield receiver


def endpoint(service: Harness, url: str | None, **more: Any) -> dict[str, Any]:
    answer = service.client.post("/webhook_endpoints", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def deliveries(service: Harness, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = service.client.get("/webhook_deliveries", params=query).json()["items"]
    return items


def until(met: Callable[[], bool]) -> None:
    for _ in range(400):
        if met():
            return
        time.sleep(0.025)
    pytest.fail("it did not happen in ten seconds")


def ended(service: Harness, **changes: Any) -> str:
    job = service.invert(**changes)
    service.work()
    return str(job["id"])


def test_the_end_of_a_job_is_told_and_signed(anywhere: Harness, hook: Site) -> None:
    service = anywhere
    secret = endpoint(service, hook.url("/hook"))["secret"]
    job_id = ended(service, metadata={"order": "7"})
    until(lambda: bool(hook.asked))
    sent = hook.asked[0]

    told = Webhook(secret).verify(sent.body, sent.headers)
    assert told["type"] == "job.succeeded"
    assert told["data"] == {
        "id": job_id,
        "kind": "inversion",
        "state": "succeeded",
        "error": None,
        "metadata": {"order": "7"},
    }
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(sent.body + b" ", sent.headers)
    until(lambda: deliveries(service)[0]["state"] == "delivered")
    (delivery,) = deliveries(service, subject_id=job_id)
    assert delivery["id"] == sent.headers["webhook-id"]
    assert (delivery["tries"], delivery["last_status"]) == (1, 204)


def test_a_job_may_name_an_address_of_its_own(service: Harness, hook: Site) -> None:
    wanted = {"url": hook.url("/hook?job=1"), "events": ["job.succeeded"]}
    body = service.inversion(webhook=wanted)
    refused = service.client.post("/inversions", json=body)
    assert problem(refused) == (422, "VALIDATION")
    assert refused.json()["errors"][0]["pointer"] == "/webhook"

    secret = endpoint(service, None)["secret"]
    accepted(service.client.post("/inversions", json=body))
    service.work()
    until(lambda: bool(hook.asked))

    assert hook.asked[0].path == "/hook?job=1"
    assert Webhook(secret).verify(hook.asked[0].body, hook.asked[0].headers)["data"]["state"] == "succeeded"


def test_a_batch_is_told_once_when_it_ends(service: Harness, hook: Site) -> None:
    endpoint(service, hook.url("/hook"))
    inversion_id = ended(service)
    items = [{"custom_id": str(n), "inversion_id": inversion_id, "target_prompt": "a blue circle"} for n in range(2)]
    batch = service.client.post("/batches", json={"items": [*items, {}], "metadata": {"ad": "1"}}).json()
    for _ in items:
        service.work()
    tend_batches(service.ports.database, service.ports.wakeups, service.ports.model)
    tend_batches(service.ports.database, service.ports.wakeups, service.ports.model)
    until(lambda: len(hook.asked) == 2)

    assert [delivery["event"] for delivery in deliveries(service)] == ["batch.ended", "job.succeeded"]
    told = next(json.loads(asked.body) for asked in hook.asked if b"batch.ended" in asked.body)["data"]
    assert (told["id"], told["metadata"]) == (batch["id"], {"ad": "1"})
    assert told["counts"] == {"succeeded": 2, "failed": 1, "canceled": 0, "expired": 0}


def test_only_the_events_asked_for_are_told(service: Harness, hook: Site) -> None:
    endpoint(service, hook.url("/hook"), events=["job.canceled"])
    ended(service)
    job = service.invert(seed=1)
    service.client.post(f"/jobs/{job['id']}/cancel")

    assert [delivery["event"] for delivery in deliveries(service)] == ["job.canceled"]
    assert deliveries(service)[0]["subject_id"] == job["id"]


def test_two_secrets_of_one_address_sign_one_delivery(service: Harness, hook: Site) -> None:
    secrets = [endpoint(service, hook.url("/hook"))["secret"] for _ in range(2)]
    ended(service)
    until(lambda: bool(hook.asked))

    for secret in secrets:
        Webhook(secret).verify(hook.asked[0].body, hook.asked[0].headers)
    assert len(deliveries(service)) == 1


def test_a_failed_try_is_followed_by_another_with_the_same_id(service: Harness, hook: Site) -> None:
    answers = iter([Page(status=500), Page(status=302, headers={"Location": "/hook2"}), Page()])
    hook.pages["/hook"] = lambda _: next(answers)
    endpoint(service, hook.url("/hook"))
    ended(service)
    until(lambda: bool(hook.asked) and deliveries(service)[0]["tries"] == 1)
    delivery = deliveries(service)[0]
    assert (delivery["state"], delivery["last_status"]) == ("pending", 500)

    for _ in range(2):
        before = len(hook.asked)
        assert service.client.post(f"/webhook_deliveries/{delivery['id']}/redeliver").status_code == 202
        until(lambda: len(hook.asked) > before and deliveries(service)[0]["tries"] == 1)  # noqa: B023 - called at once
    until(lambda: deliveries(service)[0]["state"] == "delivered")

    assert {asked.path for asked in hook.asked} == {"/hook"}
    assert {asked.headers["webhook-id"] for asked in hook.asked} == {delivery["id"]}
    assert len({asked.body for asked in hook.asked}) == 1


def test_an_endpoint_that_is_gone_is_called_no_more(service: Harness, hook: Site) -> None:
    hook.pages["/hook"] = Page(status=410)
    endpoint(service, hook.url("/hook"))
    ended(service)
    until(lambda: bool(deliveries(service, state="failed")))
    ended(service, seed=1)

    (shown,) = service.client.get("/webhook_endpoints").json()["items"]
    assert shown["disabled_at"] is not None
    assert len(deliveries(service)) == 1


def test_a_job_s_own_address_that_is_gone_silences_no_other(service: Harness, hook: Site) -> None:
    hook.pages["/gone"] = Page(status=410)
    endpoint(service, None)
    for seed, path in enumerate(("/gone", "/hook")):
        ended(service, seed=seed, webhook={"url": hook.url(path)})
        until(lambda: all(delivery["state"] != "pending" for delivery in deliveries(service)))

    assert {delivery["url"]: delivery["state"] for delivery in deliveries(service)} == {
        hook.url("/gone"): "failed",
        hook.url("/hook"): "delivered",
    }


def test_an_address_that_may_not_be_called_is_refused(service: Harness) -> None:
    endpoint(service, None)
    for url in ("http://127.0.0.1/", "http://169.254.169.254/latest", "http://user:pw@example.com/", "ftp://x/"):
        assert problem(service.client.post("/webhook_endpoints", json={"url": url})) == (422, "URL_BLOCKED")
        body = service.inversion(webhook={"url": url})
        assert problem(service.client.post("/inversions", json=body)) == (422, "URL_BLOCKED")


def test_a_name_that_leads_inside_is_never_called(service: Harness) -> None:
    with site("127.0.0.1") as inside:
        endpoint(service, inside.url("/", host="localhost"))
        ended(service)
        until(lambda: deliveries(service)[0]["tries"] == 1)

        assert "not public" in deliveries(service)[0]["last_error"]
        assert inside.connections == 0


def test_a_redelivery_asked_for_twice_is_answered_twice(service: Harness, hook: Site) -> None:
    endpoint(service, hook.url("/hook"))
    ended(service)
    path = f"/webhook_deliveries/{deliveries(service)[0]['id']}/redeliver"
    answers = [service.client.post(path, headers={"Idempotency-Key": "one"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"


def test_the_secret_is_told_once(service: Harness) -> None:
    key = {"Idempotency-Key": "one"}
    first = service.client.post("/webhook_endpoints", json={"url": "http://example.com/"}, headers=key)
    again = service.client.post("/webhook_endpoints", json={"url": "http://example.com/"}, headers=key)

    assert first.json()["secret"].startswith("whsec_")
    assert again.json() == {**first.json(), "secret": None}
    assert again.headers["idempotent-replayed"] == "true"
    (listed,) = service.client.get("/webhook_endpoints").json()["items"]
    assert listed == again.json()


def test_a_deleted_endpoint_is_not_called(service: Harness, hook: Site) -> None:
    made = endpoint(service, hook.url("/hook"))
    assert service.client.delete(f"/webhook_endpoints/{made['id']}").status_code == 204
    assert problem(service.client.delete(f"/webhook_endpoints/{made['id']}")) == (404, "NOT_FOUND")
    ended(service)

    assert deliveries(service) == []


def test_deliveries_are_listed_in_pages(service: Harness, hook: Site) -> None:
    endpoint(service, hook.url("/hook"))
    ids = [ended(service, seed=seed) for seed in range(3)]
    first = service.client.get("/webhook_deliveries", params={"page_size": 2}).json()
    token = first["next_page_token"]
    rest = service.client.get("/webhook_deliveries", params={"page_token": token}).json()

    assert [item["subject_id"] for item in (*first["items"], *rest["items"])] == ids[::-1]
    assert rest["next_page_token"] is None
    wrong = service.client.get("/webhook_deliveries", params={"page_token": token, "state": "failed"})
    assert problem(wrong) == (400, "INVALID_PAGE_TOKEN")


def test_what_a_dead_process_was_sending_is_sent_by_the_next(settings: Settings, hook: Site) -> None:
    """The first process has taken the delivery and is cut off by a host that never answers."""
    hook.pages["/hook"] = Page(drip_seconds=9)
    first = serve(settings)
    service = next(first)
    endpoint(service, hook.url("/hook"))
    ended(service)
    until(lambda: bool(hook.asked))
    delivery_id = deliveries(service)[0]["id"]
    _end_lease(service, delivery_id)
    hook.pages["/hook"] = Page()
    second = serve(settings)
    other = next(second)

    until(lambda: deliveries(other)[0]["state"] == "delivered")
    assert {asked.headers["webhook-id"] for asked in hook.asked} == {delivery_id}
    for generator in (second, first):
        next(generator, None)


def _end_lease(service: Harness, delivery_id: str) -> None:
    with service.ports.database.begin() as uow:
        uow.webhooks.redeliver("acme", delivery_id)
        uow.commit()
