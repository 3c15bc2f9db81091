"""The service keeps to its own OpenAPI document, whatever is sent: no 5xx, no status or shape it does not declare."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from core.usecases.keys import Scope, make_key
from tests.service.conftest import listening, serve
from tests.service.contracts import CHECKS, DOCUMENT, UNHINDERED, grounded
from tests.service.harness import Harness

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "6"))  # of each operation, sound and unsound ones each
CASES = [
    (path, method, mode)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for mode in GenerationMode
    # What takes nothing cannot be asked for wrongly.
    if mode is GenerationMode.POSITIVE or "parameters" in operation or "requestBody" in operation
]


# The service runs beside, in threads of this process that draw random numbers while examples are drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One service for all examples."""
    for service in serve(UNHINDERED.model_copy(update={"data_dir": tmp_path_factory.mktemp("contract")})):
        service.worker(lease_seconds=3600)  # without one the service is not ready
        yield service


@pytest.fixture(scope="module")
def address(living: Harness) -> Iterator[str]:
    """The same service over real HTTP, so that headers and bodies are what a server makes of them."""
    with listening(living.ports.settings) as address:
        yield address


@pytest.fixture(scope="module")
def known(living: Harness) -> dict[str, list[str]]:
    """Values of path parameters that lead to something, in each state worth meeting."""
    done = living.invert()["id"]
    living.work()
    queued = living.invert(seed=1)["id"]
    kept = living.invert(seed=2)["id"]
    edits = [living.edit(inversion_id=inversion)["id"] for inversion in (done, queued)]
    job_ids = {"job_id": [done, queued, *edits], "ended_id": [done], "inversion_id": [kept]}
    item = {"custom_id": "a", "inversion_id": done, "target_prompt": "a blue circle"}
    batch = living.client.post("/batches", json={"items": [item, {}]}).json()["id"]
    key_id = make_key(living.ports.database, "other", name="")[0].id
    upload = living.client.post("/uploads", json={"media_type": "image/png"}).json()["id"]
    endpoint = living.client.post("/webhook_endpoints", json={"url": "https://nowhere.invalid/"}).json()["id"]
    living.client.post(f"/jobs/{living.invert(seed=3)['id']}/cancel")
    delivery = living.client.get("/webhook_deliveries").json()["items"][0]["id"]
    own = {"key_id": [key_id], "upload_id": [upload], "endpoint_id": [endpoint], "delivery_id": [delivery]}
    return {**job_ids, **own, "image_id": [living.image()], "name": ["image", "other"], "batch_id": [batch]}


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_every_answer_is_declared(
    living: Harness, address: str, known: dict[str, list[str]], path: str, method: str, mode: GenerationMode
) -> None:
    key = living.key("acme", scopes=frozenset(Scope))
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def every_answer_is_declared(case: Any, data: st.DataObject) -> None:
        # The stream of a job that nobody works on has no end.
        sound = {**known, "job_id": known["ended_id"]} if path.endswith("/events") else known
        for name in case.path_parameters:
            if name in sound and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(sound[name]))
        if path in {"/inversions", "/edits", "/batches"} and isinstance(case.body, dict) and data.draw(st.booleans()):
            case.body = grounded(path, case.body, image=known["image_id"][0], inversion=known["inversion_id"][0])
        if case.query and str(case.query.get("wait", "")).isdecimal():
            case.query["wait"] = 0  # there is no worker here, and waiting is tested elsewhere

        case.call_and_validate(base_url=address, headers=key, checks=CHECKS)

    every_answer_is_declared()
