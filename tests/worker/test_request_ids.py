"""What a worker writes about a job can be found by the request that made it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
import structlog

from core.logs import configure_logs
from tests.stack.studio import PROMPT_DIVERGES
from tests.stack.submitting import ACME, Caller
from worker.tools import Tools
from worker.working import work


@pytest.fixture
def log() -> Iterator[StringIO]:
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


def test_every_line_of_an_attempt_carries_the_ids_of_job_and_request(
    tools: Tools, caller: Caller, log: StringIO
) -> None:
    job = caller.invert(order=replace(ACME, request_id="mine"), source_prompt=PROMPT_DIVERGES)

    work(tools)

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    about = [line for line in lines if line["logger"].startswith("worker.")]
    assert [line["level"] for line in about] == ["warning", "info"]
    assert {(line["request_id"], line["job_id"]) for line in about} == {("mine", job.id)}


def test_a_job_of_no_request_is_found_by_its_own_id(tools: Tools, caller: Caller, log: StringIO) -> None:
    job = caller.invert()

    work(tools)

    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    assert "request_id" not in line
    assert line["job_id"] == job.id
