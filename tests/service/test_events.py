"""A job's events arrive as they happen, go on where a caller was cut off, and end with the job."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import httpx2
import pytest

from core.domain.job import JobState
from core.domain.ports import Outcome
from service import streams
from service.server import make_server
from tests.service.harness import Harness, png, problem


@final
@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came."""

    name: str
    id: str | None
    data: dict[str, Any] = field(default_factory=dict)


def read(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream, less the comments."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "event" in fields:
            yield Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
            fields = {}


def events(service: Harness, address: str, *, after: str | None = None) -> list[Event]:
    """All events of a job that has ended."""
    headers = {} if after is None else {"Last-Event-ID": after}
    answer = service.client.get(f"{address}/events", headers=headers)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
    return list(read(iter(answer.text.split("\n"))))


@contextmanager
def server(service: Harness) -> Iterator[httpx2.Client]:
    """Another process's worth of the same service, over real HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = make_server(service.ports.settings)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        headers = {"Authorization": service.client.headers["Authorization"]}
        with httpx2.Client(base_url=address, headers=headers, timeout=20) as client:
            yield client
        running.handle_exit(15, None)
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_finished_job_is_replayed_and_ends(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    claim = service.claim()
    for timestep in (3, 7):
        service.advance(claim, timestep)
        service.show(claim, timestep)
    service.finish(claim)

    told = events(service, address)

    assert [event.name for event in told] == ["state", "state", "progress", "state", "done"]
    assert [event.data["state"] for event in told if event.name == "state"] == ["queued", "running", "succeeded"]
    assert told[2].data == {"step": 7, "steps": 10, "fraction": 0.7, "eta_seconds": 3.0}
    assert told[-1].data == service.client.get(address).json()
    assert told[-2].id is None  # its number comes with `done`, which must not be missed
    numbers = [int(event.id) for event in told if event.id is not None]
    assert numbers == sorted(set(numbers))


def test_who_has_heard_the_end_is_not_told_again(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    service.work()
    told = events(service, address)

    cut_off = events(service, address, after=told[1].id)
    through = service.client.get(f"{address}/events", headers={"Last-Event-ID": str(told[-1].id)})

    assert cut_off == told[2:]
    assert (through.status_code, through.content) == (204, b"")


def test_events_come_as_they_happen_and_go_on_after_a_restart(anywhere: Harness) -> None:
    address = anywhere.invert()["links"]["self"]
    with server(anywhere) as client, client.stream("GET", f"{address}/events") as answer:
        coming = read(answer.iter_lines())
        first = next(coming)
        claim = anywhere.claim()
        second = next(coming)
        anywhere.advance(claim, 2)
        third = next(coming)
        anywhere.show(claim, 2)
        fourth = next(coming)
    anywhere.advance(claim, 9)
    with (
        server(anywhere) as client,
        client.stream("GET", f"{address}/events", headers={"Last-Event-ID": str(third.id)}) as answer,
    ):
        coming = read(answer.iter_lines())
        missed = [next(coming), next(coming)]
        anywhere.finish(claim)
        rest = list(coming)

    assert [event.data.get("state") for event in (first, second)] == ["queued", "running"]
    assert (third.name, third.data["step"]) == ("progress", 2)
    assert (fourth.name, fourth.data["step"]) == ("preview", 2)
    assert fourth.data["url"].startswith(f"{address}/previews/")
    assert missed[0] == fourth
    assert (missed[1].name, missed[1].data["step"]) == ("progress", 9)
    assert [(event.name, event.data["state"]) for event in rest] == [("state", "succeeded"), ("done", "succeeded")]


def test_a_preview_is_served_while_its_attempt_runs(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    claim = service.claim()
    service.show(claim, 4)
    with service.ports.database.read() as uow:
        number = uow.events.of("acme", claim.job.id)[-1].number
    url = f"{address}/previews/{number}"
    shown = service.client.get(url)
    stranger = service.client.get(url, headers=service.key("other"))
    service.finish(claim)

    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/png", png("green"))
    assert problem(stranger) == (404, "NOT_FOUND")
    assert problem(service.client.get(url)) == (404, "NOT_FOUND")
    assert problem(service.client.get(f"{address}/previews/{number - 1}")) == (404, "NOT_FOUND")


def test_a_job_keeps_few_events(service: Harness) -> None:
    service.invert()
    claim = service.claim()
    for timestep in range(1, 10):
        service.advance(claim, timestep)

    with service.ports.database.read() as uow:
        assert len(uow.events.of("acme", claim.job.id)) == 3


def test_a_quiet_stream_is_kept_alive(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_HEARTBEAT_SECONDS", 0.1)
    address = service.invert()["links"]["self"]
    with server(service) as client, client.stream("GET", f"{address}/events") as answer:
        lines = answer.iter_lines()
        comments = [line for line, _ in zip(lines, range(12), strict=False) if line.startswith(":")]

    assert len(comments) >= 2


def test_streams_hold_no_threads_and_leave_nothing_behind(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    with server(service) as client, _streams(client, address, count=60):
        started = time.monotonic()
        client.get(address)
        seconds = time.monotonic() - started

    assert seconds < 2  # the pool has 40 threads: were each held, nobody else would be answered


@contextmanager
def _streams(client: httpx2.Client, address: str, *, count: int) -> Iterator[None]:
    answers = [client.stream("GET", f"{address}/events") for _ in range(count)]
    for answer in answers:
        assert next(read(answer.__enter__().iter_lines())).name == "state"
    yield
    for answer in answers:
        answer.__exit__(None, None, None)


@pytest.mark.parametrize("given", ["x", "-1", "1.5", str(2**63)])
def test_an_event_id_that_is_none_of_ours_is_refused(service: Harness, given: str) -> None:
    address = service.invert()["links"]["self"]

    answer = service.client.get(f"{address}/events", headers={"Last-Event-ID": given})

    assert problem(answer) == (422, "VALIDATION")


def test_an_edit_that_fails_with_its_inversion_ends_its_stream(service: Harness) -> None:
    inversion = service.invert()
    edit = service.edit(inversion_id=inversion["id"])["links"]["self"]
    service.work(Outcome(state=JobState.FAILED))

    told = events(service, edit)

    assert [event.data["state"] for event in told] == ["waiting", "failed", "failed"]
    assert told[-1].data["error"]["code"] == "INVERSION_FAILED"


def test_another_tenants_events_are_not_there(service: Harness) -> None:
    address = service.invert()["links"]["self"]

    assert problem(service.client.get(f"{address}/events", headers=service.key("other"))) == (404, "NOT_FOUND")
