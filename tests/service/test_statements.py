"""How many statements the main routes cost: each is a way to the database and back."""

from collections.abc import Callable

import pytest
from httpx2 import Response

from tests.service.harness import Harness
from tests.service.statements import counted

TARGET = "a blue circle on grass"


def read_finished(service: Harness) -> Callable[[], Response]:
    service.invert()
    job_id = service.work()
    return lambda: service.client.get(f"/jobs/{job_id}")


def read_queued(service: Harness) -> Callable[[], Response]:
    job_id = service.invert()["id"]
    return lambda: service.client.get(f"/jobs/{job_id}")


def read_list(service: Harness) -> Callable[[], Response]:
    service.invert()
    return lambda: service.client.get("/jobs")


def post_inversion(service: Harness) -> Callable[[], Response]:
    body = service.inversion()
    return lambda: service.client.post("/inversions", json=body)


def post_edit(service: Harness) -> Callable[[], Response]:
    service.invert()
    body = {"inversion_id": service.work(), "target_prompt": TARGET}
    return lambda: service.client.post("/edits", json=body)


@pytest.mark.parametrize(
    ("prepare", "most"),
    [(read_finished, 2), (read_queued, 6), (read_list, 2), (post_inversion, 6), (post_edit, 4)],
)
def test_a_request_costs_no_more_statements_than_these(
    distributed: Harness, prepare: Callable[[Harness], Callable[[], Response]], most: int
) -> None:
    ask = prepare(distributed)
    distributed.ports.callers.forget()  # one of the statements asks for the caller

    with counted(distributed) as statements:
        answer = ask()

    assert answer.is_success
    assert len(statements) <= most, "\n".join(statements)
