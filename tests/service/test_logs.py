"""A request leaves one line that can be found by its id, and never a secret."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from core.logs import configure_logs
from core.usecases.jobs import get_job
from service.app import create_app
from service.callers import Callers
from service.waiting import Poller
from tests.service.harness import FailingDatabase, Harness


@pytest.fixture
def log(service: Harness) -> Iterator[StringIO]:
    """What a process with JSON logs writes."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    configure_logs(json=True)
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    written = StringIO()
    handler.setStream(written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def _lines(log: StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line.get("request_id") == "mine"]


def test_a_request_is_one_line_with_its_id(service: Harness, log: StringIO) -> None:
    service.client.get("/jobs", headers={"X-Request-ID": "mine"})

    (line,) = _lines(log)
    assert line["event"] == "request"
    assert line["path"] == "/jobs"
    assert line["status"] == 200
    assert line["tenant"] == "acme"
    assert line["milliseconds"] > 0


def test_a_job_knows_the_request_that_made_it(anywhere: Harness) -> None:
    anywhere.client.headers["X-Request-ID"] = "mine"
    edit = anywhere.edit(image={"id": anywhere.image()}, source_prompt="a red circle on grass")
    anywhere.client.post(f"/edits/{edit['id']}/cancel")
    again = anywhere.client.post(f"/edits/{edit['id']}/retry", headers={"X-Request-ID": "another"}).json()

    made = {id_: get_job(anywhere.ports.database, "acme", id_) for id_ in (edit["id"], again["id"])}
    assert [job.request_id for job in made.values()] == ["mine", "another"]
    assert get_job(anywhere.ports.database, "acme", edit["inputs"]["inversion_id"]).request_id == "mine"


def test_a_failure_leaves_a_traceback_without_values(service: Harness, log: StringIO) -> None:
    database = FailingDatabase(RuntimeError("broken"))
    ports = replace(service.ports, database=database, callers=Callers(database), poller=Poller(lambda _ids: ()))
    key = "sk_" + "1" * 26 + "_" + "2" * 40
    with TestClient(create_app(ports.settings, build=lambda _settings: ports)) as client:
        client.get("/jobs", headers={"Authorization": f"Bearer {key}", "X-Request-ID": "mine"})

    mine = _lines(log)
    assert [line["event"] for line in mine] == ["request failed", "request"]
    assert "RuntimeError: broken" in mine[0]["exception"]
    assert "2" * 40 not in json.dumps(mine)
