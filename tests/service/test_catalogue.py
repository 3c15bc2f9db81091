"""The service tells what it can do, from the definitions it works by."""

from typing import Any, cast

import pytest
from fastapi import FastAPI

from core.domain.costs import cost_of_inversion
from core.domain.edit_parts import EditMethod
from core.domain.inversion_specs import InversionMethod, StyleDiffusionSpec
from service.problems import PROBLEMS
from tests.service.harness import Harness


def _document(service: Harness) -> dict[str, Any]:
    return cast(FastAPI, service.client.app).openapi()


def test_every_method_is_listed_with_bounds_cost_and_paper(service: Harness) -> None:
    methods = service.client.get("/methods").json()

    assert {method["name"] for method in methods["inversions"]} == set(InversionMethod)
    assert {method["name"] for method in methods["edits"]} == set(EditMethod)
    for method in [*methods["inversions"], *methods["edits"]]:
        assert method["summary"].endswith(".")
        assert method["citation"]["url"].startswith("https://arxiv.org/abs/")
        assert method["cost"]["unet_forwards"] > 0
        assert "method" not in method["parameters"]["properties"]
    timesteps = methods["inversions"][0]["parameters"]["properties"]["timesteps"]
    assert (timesteps["minimum"], timesteps["maximum"], timesteps["default"]) == (2, 200, 50)


def test_a_learned_inversion_costs_its_published_budget() -> None:
    spec = StyleDiffusionSpec(timesteps=50, inner_steps=100, inner_decay=0.1)

    assert cost_of_inversion(spec).unet_backwards == 1071


def test_the_model_is_listed(service: Harness) -> None:
    (model,) = service.client.get("/models").json()

    assert model["name"] == "pocket"
    assert model["max_tokens"] > 0
    assert "path" not in model


def test_the_queue_is_measured_by_class(service: Harness) -> None:
    for seed in range(3):
        service.invert(seed=seed)
    service.work()
    service.claim()
    stranded = service.client.get("/queue").json()
    service.worker("wrk_1", slots=3)
    service.worker("wrk_2", slots=1)
    service.worker("wrk_3", slots=9, lease_seconds=-1)

    interactive, batch = service.client.get("/queue").json()

    assert interactive["job_class"] == "interactive"
    assert interactive["depth"] == 1
    assert interactive["running"] == 1
    assert interactive["oldest_age_seconds"] > 0
    assert interactive["estimated_wait_seconds"] == 0  # three slots are free
    assert [load["stranded"] for load in stranded] == [1, 0]
    assert [load["workers"] for load in stranded] == [0, 0]
    assert stranded[0]["estimated_wait_seconds"] is None
    assert interactive["stranded"] == 0
    assert (interactive["workers"], interactive["slots"]) == (2, 4)
    assert (batch["workers"], batch["slots"]) == (2, 3)
    assert batch["depth"] == 0
    assert batch["oldest_age_seconds"] is None


def test_operation_ids_are_unique_and_every_reference_leads_somewhere(service: Harness) -> None:
    document = _document(service)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    references: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            references.extend(value for key, value in node.items() if key == "$ref")
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert set(references) <= known
    assert known <= set(references)


@pytest.mark.parametrize("status", ["500", "503"])
def test_every_operation_declares_its_problems(service: Harness, status: str) -> None:
    for path in _document(service)["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"][status]["content"]


def test_declared_problems_have_the_status_of_their_codes(service: Harness) -> None:
    for path in _document(service)["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                named = [code for code in PROBLEMS if f"`{code}`" in answer["description"]]
                assert {PROBLEMS[code].status.value for code in named} <= {int(status)}
