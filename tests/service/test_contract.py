"""The service keeps to its own OpenAPI document, whatever is sent: no 5xx, no status or shape it does not declare."""

import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.settings import Settings
from service.app import create_app
from tests.service.conftest import serve
from tests.service.harness import Harness

# Not among them: acceptance of all that fits the schema, for no schema says which bytes are an image.
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = [(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations]


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One service for all examples."""
    yield from serve(Settings(data_dir=tmp_path_factory.mktemp("contract")))


@pytest.fixture(scope="module")
def address(living: Harness) -> Iterator[str]:
    """The same service over real HTTP, so that headers and bodies are what a server makes of them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(living.ports.settings), log_config=None, access_log=False))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def known(living: Harness) -> dict[str, list[str]]:
    """Values of path parameters that lead to something, in each state worth meeting."""
    done = living.invert()["id"]
    living.work()
    queued = living.invert(seed=1)["id"]
    edits = [living.edit(inversion_id=inversion)["id"] for inversion in (done, queued)]
    return {"job_id": [done, queued, *edits], "image_id": [living.image()], "name": ["image"]}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_declared(
    living: Harness, address: str, known: dict[str, list[str]], path: str, method: str, mode: GenerationMode
) -> None:
    key = {"Authorization": living.client.headers["Authorization"]}
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.headers):
        pytest.skip("nothing of it can be wrong")

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def every_answer_is_declared(case: Any, data: st.DataObject) -> None:
        for name in case.path_parameters:
            if name in known and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(known[name]))

        case.call_and_validate(base_url=address, headers=key, checks=CHECKS)

    every_answer_is_declared()
