"""A batch takes its items from an uploaded file and its images from URLs, and tells its end where it was asked to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from core.domain.job import JobState
from core.domain.ports import Outcome
from core.settings import Settings
from core.usecases.fetching import fetch_inputs
from core.usecases.tending import tend_batches
from tests.servers.site import Page, Site, site
from tests.service.conftest import serve
from tests.service.harness import Harness, accepted, png, problem
from tests.service.test_image_sources import allowed
from tests.service.test_image_sources import send as upload
from tests.service.test_webhooks import until

HOST = "127.0.0.2"
LINES = "application/x-ndjson"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """May fetch and call the machine's own addresses without TLS; nothing is done in the background."""
    opened = Settings(data_dir=tmp_path, outbound_http=True, outbound_networks=f"{HOST}/32", outbound_seconds=1)
    return opened.model_copy(update={"sweep_seconds": 3600.0})


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Has two pictures, and takes webhooks."""
    with site(HOST) as served:
        served.pages |= {"/red.png": Page(body=png("red")), "/blue.png": Page(body=png("blue")), "/hook": Page()}
        yield served


@pytest.fixture
def fetching(service: Harness) -> Harness:
    """The service, of a tenant that may name URLs."""
    service.may(fetch_urls=True)
    return service


def item(number: int, **changes: Any) -> dict[str, Any]:
    prompts = {"source_prompt": "a red circle on grass", "target_prompt": "a blue circle on grass"}
    return {"custom_id": f"item-{number}", **prompts, "seed": number, **changes}


def results(service: Harness, batch: dict[str, Any]) -> dict[str, dict[str, Any]]:
    text = service.client.get(batch["links"]["results"]).text
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


def fetch(service: Harness) -> None:
    """What the process does in the background."""
    ports = service.ports
    while fetch_inputs(ports.database, ports.store, ports.web):
        tend_batches(ports.database, ports.wakeups, ports.model)


def test_the_items_come_from_an_uploaded_file(anywhere: Harness) -> None:
    service = anywhere
    image = {"id": service.image()}
    head = {"batch": {"defaults": {"image": image}, "max_failures": 7, "metadata": {"from": "file"}}}
    file = allowed(service, LINES)
    upload(service, file, "\n".join(map(json.dumps, [head, item(0), {"custom_id": "bad"}, item(1)])).encode())

    batch = accepted(service.client.post("/batches", json={"input_upload_id": file["id"], "metadata": {"from": "me"}}))

    assert (batch["total"], batch["max_failures"], batch["metadata"]) == (3, 7, {"from": "me"})
    assert {job["inputs"]["image_id"] for job in service.client.get("/edits").json()["items"]} == {image["id"]}
    assert list(results(service, batch)) == ["bad"]


def test_a_file_that_is_no_batch_is_refused(service: Harness) -> None:
    empty, picture = allowed(service, LINES), allowed(service)
    upload(service, empty, b"\n")
    upload(service, picture, png())
    answers = {
        name: service.client.post("/batches", json={"input_upload_id": upload_id})
        for name, upload_id in {
            "no line": empty["id"],
            "a picture": picture["id"],
            "nothing sent": allowed(service, LINES)["id"],
            "unknown": "upl_x",
        }.items()
    }

    assert {name: problem(answer) for name, answer in answers.items()} == {
        "no line": (422, "VALIDATION"),
        "a picture": (422, "VALIDATION"),
        "nothing sent": (404, "NOT_FOUND"),
        "unknown": (404, "NOT_FOUND"),
    }
    assert answers["a picture"].json()["errors"][0]["pointer"] == "/input_upload_id"


def pictures(service: Harness) -> dict[int, str]:
    """The image of each edit, by its seed."""
    return {job["seed"]: job["inputs"]["image_id"] for job in service.client.get("/edits").json()["items"]}


def test_images_named_by_url_are_fetched_after_the_batch_was_accepted(fetching: Harness, other_site: Site) -> None:
    red, blue = other_site.url("/red.png"), other_site.url("/blue.png")
    items = [item(number, image={"url": url}) for number, url in enumerate([red, blue, red, "http://127.0.0.1/"])]
    batch = accepted(fetching.client.post("/batches", json={"items": items}))
    asked_at_once, refused_at_once = len(other_site.asked), results(fetching, batch)
    fetch(fetching)

    assert (asked_at_once, list(refused_at_once)) == (0, ["item-3"])
    assert refused_at_once["item-3"]["error"]["code"] == "URL_BLOCKED"
    assert sorted(asked.path for asked in other_site.asked) == ["/blue.png", "/red.png"]
    assert pictures(fetching) == {0: fetching.image("red"), 1: fetching.image("blue"), 2: fetching.image("red")}


def test_an_image_that_cannot_be_fetched_fails_its_item_and_may_come_later(fetching: Harness, other_site: Site) -> None:
    sent = {"items": [item(0, image={"url": other_site.url("/late.png")})]}
    batch = accepted(fetching.client.post("/batches", json=sent))
    fetch(fetching)
    error = results(fetching, batch)["item-0"]["error"]

    assert (error["code"], error["detail"]) == ("INPUT_FETCH_FAILED", "The URL answers 404.")
    assert (error["retryable"], fetching.client.get(batch["links"]["self"]).json()["state"]) == (True, "ended")
    other_site.pages["/late.png"] = Page(body=png("green"))
    fetching.client.post(batch["links"]["retry_failed"])
    fetch(fetching)
    assert pictures(fetching) == {0: fetching.image("green")}


def test_the_process_fetches_by_itself(settings: Settings, other_site: Site) -> None:
    for service in serve(settings.model_copy(update={"sweep_seconds": 0.1})):
        service.may(fetch_urls=True)
        items = [item(0, image={"url": other_site.url("/red.png")})]
        accepted(service.client.post("/batches", json={"items": items}))
        until(lambda: bool(service.client.get("/edits").json()["items"]))  # noqa: B023 - called at once


def test_a_tenant_without_leave_has_nothing_fetched(service: Harness, other_site: Site) -> None:
    batch = accepted(
        service.client.post("/batches", json={"items": [item(0, image={"url": other_site.url("/red.png")})]})
    )

    assert results(service, batch)["item-0"]["error"]["code"] == "URL_BLOCKED"
    assert other_site.connections == 0


def test_a_host_that_hangs_delays_no_item_of_another_batch(fetching: Harness, other_site: Site) -> None:
    other_site.pages |= {f"/slow{number}": Page(drip_seconds=9) for number in range(30)}
    slow = [item(number, image={"url": other_site.url(f"/slow{number}")}) for number in range(30)]
    batch = accepted(fetching.client.post("/batches", json={"items": slow}))

    ready = [item(number, image={"id": fetching.image()}) for number in range(3)]
    accepted(fetching.client.post("/batches", json={"items": ready}))
    tend_batches(fetching.ports.database, fetching.ports.wakeups, fetching.ports.model)
    started = fetching.client.get("/edits").json()["items"]
    fetch_inputs(fetching.ports.database, fetching.ports.store, fetching.ports.web)

    assert len(started) == 3
    # Of one tenant a round takes a few: no more than 8 were asked for, four at a time.
    assert len(other_site.asked) == 8
    assert len(results(fetching, batch)) == 8


def test_a_canceled_batch_fetches_nothing_more(fetching: Harness, other_site: Site) -> None:
    batch = accepted(
        fetching.client.post("/batches", json={"items": [item(0, image={"url": other_site.url("/red.png")})]})
    )
    fetching.client.post(batch["links"]["cancel"])
    fetch(fetching)

    assert other_site.asked == []
    assert results(fetching, batch)["item-0"]["error"]["code"] == "CANCELED"


def test_the_end_of_a_batch_and_of_an_item_are_told_where_they_say(service: Harness, other_site: Site) -> None:
    secret = service.client.post("/webhook_endpoints", json={}).json()["secret"]
    everything = other_site.url("/hook?endpoint")
    service.client.post("/webhook_endpoints", json={"url": everything, "events": ["job.succeeded", "job.failed"]})
    image = {"id": service.image()}
    own = {"url": other_site.url("/hook?item"), "events": ["job.failed"]}
    items = [item(0, image=image), item(1, image=image, webhook=own)]

    batch = accepted(
        service.client.post("/batches", json={"items": items, "webhook": {"url": other_site.url("/hook?batch")}})
    )
    service.work()
    for _ in items:
        service.work(Outcome(state=JobState.FAILED))
    service.client.get(batch["links"]["self"])

    deliveries = service.client.get("/webhook_deliveries").json()["items"]
    told = {(one["event"], one["url"].partition("?")[2]): one["subject_id"] for one in deliveries}
    assert set(told) == {("batch.ended", "batch"), ("job.failed", "item")}
    assert told["batch.ended", "batch"] == batch["id"]
    until(lambda: len(other_site.asked) == 2)
    for asked in other_site.asked:
        Webhook(secret).verify(asked.body, asked.headers)


def test_a_webhook_of_a_batch_is_checked_with_the_batch(service: Harness) -> None:
    sent = {"items": [item(0)], "webhook": {"url": "http://10.0.0.1/"}}

    assert problem(service.client.post("/batches", json=sent)) == (422, "URL_BLOCKED")
    assert service.client.get("/batches").json()["items"] == []
