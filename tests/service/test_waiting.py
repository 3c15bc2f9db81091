"""A caller may wait for a job; waiting holds no thread, and the answer comes as soon as the job is done."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from core.domain.ports import JobFilter
from core.settings import Settings
from core.usecases.jobs import list_jobs
from core.usecases.keys import make_key
from core.wiring import build_database, migrate
from service.app import create_app
from service.waiting import News, Poller
from tests.service.harness import Harness, accepted, png, problem


def test_a_read_answers_when_the_job_is_done(service: Harness) -> None:
    job = service.invert()
    worker = threading.Timer(0.3, service.work)
    worker.start()
    started = time.monotonic()

    answer = service.client.get(f"/inversions/{job['id']}?wait=30")

    worker.join()
    assert answer.json()["state"] == "succeeded"
    assert time.monotonic() - started < 10


def test_a_read_answers_when_the_time_is_up(service: Harness) -> None:
    job = service.invert()

    answer = service.client.get(f"/inversions/{job['id']}?wait=1")

    assert answer.status_code == 200
    assert answer.json()["state"] == "queued"


def test_a_finished_job_is_not_waited_for(service: Harness) -> None:
    job = service.invert()
    service.work()
    started = time.monotonic()

    service.client.get(f"/inversions/{job['id']}?wait=60")

    assert time.monotonic() - started < 10


def _work_once_there_is_any(service: Harness) -> None:
    while not list_jobs(service.ports.database, JobFilter(tenant="acme", limit=1)):
        time.sleep(0.05)
    time.sleep(0.3)  # so that somebody waits
    service.work()


def test_a_submission_waits_if_preferred(service: Harness) -> None:
    body = service.inversion()
    worker = threading.Thread(target=_work_once_there_is_any, args=(service,))
    worker.start()

    answer = service.client.post("/inversions", json=body, headers={"Prefer": "respond-async, wait=30"})

    worker.join()
    assert accepted(answer)["state"] == "succeeded"
    assert answer.headers["preference-applied"] == "wait=30"


@pytest.mark.parametrize("prefer", ["", "wait=", "wait=x", "return=minimal", "waiting=3", "wait=-1"])
def test_a_preference_that_is_not_understood_is_ignored(service: Harness, prefer: str) -> None:
    answer = service.client.post("/inversions", json=service.inversion(), headers={"Prefer": prefer})

    assert accepted(answer)["state"] == "queued"
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("wait", ["-1", "61", "x"])
def test_a_wait_out_of_bounds_is_refused(service: Harness, wait: str) -> None:
    job = service.invert()

    assert problem(service.client.get(f"/inversions/{job['id']}?wait={wait}")) == (422, "VALIDATION")


def test_a_job_seen_before_is_not_sent_again(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    first = service.client.get(address)
    seen = {"If-None-Match": first.headers["etag"]}
    unchanged = service.client.get(address, headers=seen)
    service.work()
    changed = service.client.get(address, headers=seen)

    assert unchanged.status_code == 304
    assert unchanged.content == b""
    assert unchanged.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200
    assert "retry-after" in first.headers
    assert "retry-after" not in changed.headers


def test_a_queued_job_tells_its_place(service: Harness) -> None:
    jobs = [service.invert(seed=seed) for seed in range(3)]
    before = [service.client.get(job["links"]["self"]).json()["queue"] for job in jobs]
    service.work()
    service.worker(slots=1)
    after = [service.client.get(job["links"]["self"]).json()["queue"] for job in jobs]
    service.claim()
    behind = service.client.get(jobs[2]["links"]["self"]).json()["queue"]

    assert [place["position"] for place in before] == [0, 1, 2]
    assert [place["estimated_wait_seconds"] for place in before] == [None, None, None]
    assert after[0] is None
    assert [(place["position"], place["workers"]) for place in after[1:]] == [(0, 1), (1, 1)]
    assert after[1]["estimated_wait_seconds"] == 0  # a slot is free
    assert 0 < after[2]["estimated_wait_seconds"] == behind["estimated_wait_seconds"]


def test_a_job_that_nobody_can_run_says_so_until_somebody_can(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    unserved = service.client.get(address)
    service.worker(lease_seconds=-1)
    lapsed = service.client.get(address).json()
    service.worker()
    served = service.client.get(address)

    assert [answer.headers["retry-after"] for answer in (unserved, served)] == ["30", "1"]
    unserved, served = unserved.json(), served.json()
    for job in (unserved, lapsed):
        assert job["queue"]["workers"] == 0
        assert "No worker with the model pocket" in job["warnings"][-1]
    assert served["queue"]["workers"] == 1
    assert served["warnings"] == unserved["warnings"][:-1]


def test_nothing_is_looked_for_when_all_who_waited_have_gone() -> None:
    asked: list[Mapping[str, int]] = []

    def find_news(after: Mapping[str, int]) -> News:
        asked.append(after)
        return ()

    async def come_and_go() -> None:
        poller = Poller(find_news)
        look = asyncio.create_task(poller.look())
        with poller.watching("inv_1", after=0):
            await asyncio.sleep(0.05)
        await look

    asyncio.run(come_and_go())

    assert asked == []


def test_a_hundred_who_wait_leave_the_service_responsive(settings: Settings) -> None:
    migrate(settings)

    seconds_beside_waiting, statuses = asyncio.run(_wait_together(settings, clients=100))

    assert statuses == {200}
    assert seconds_beside_waiting < 2  # the pool has 40 threads: were each held, nobody else would be answered


async def _wait_together(settings: Settings, *, clients: int) -> tuple[float, set[int]]:
    """How long a read takes while others wait, and how all of them were answered."""
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        _, token = make_key(build_database(settings), "acme", name="test")
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(with_state),
            base_url="http://test",
            headers={"Authorization": f"Bearer {token}"},
        ) as client:
            form: dict[str, Any] = {"data": {"source_prompt": "a circle"}, "files": {"image": png()}}
            address = (await client.post("/inversions", **form)).json()["links"]["self"]
            waiting = [asyncio.create_task(client.get(f"{address}?wait=4")) for _ in range(clients)]
            await asyncio.sleep(2)
            started = time.monotonic()
            await client.get(address)
            seconds = time.monotonic() - started
            answers = await asyncio.gather(*waiting)
    return seconds, {answer.status_code for answer in answers}
