"""Regions and several results of one edit, as callers ask for them over HTTP."""

from io import BytesIO
from typing import Any

import PIL.Image
import pytest

from core.domain.costs import cost_of_edit
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.errors import ErrorCode
from core.domain.job import JobError, JobState
from core.domain.ports import Outcome
from tests.service.harness import Harness


def preview(service: Harness, **changes: Any) -> Any:
    """What an edit of an inversion with ten timesteps would be, or why it is refused."""
    inversion = service.invert(method="ddim", parameters={"timesteps": 10})
    body = {"inversion_id": inversion["id"], "target_prompt": "a blue circle on grass", **changes}
    return service.client.post("/edits?validate_only=true", json=body)


def test_a_search_tells_every_candidate_and_the_cost_of_all(service: Harness) -> None:
    told = preview(service, search=True, parameters={"self_window": 0.3}).json()

    tried = [resolve_edit(EditMethod(one["method"]), one["parameters"]) for one in told["candidates"]]
    forwards = sum(cost_of_edit(one, timesteps=10).unet_forwards for one in tried)
    assert len(tried) > 5
    assert {one["parameters"]["self_window"] for one in told["candidates"]} == {0.3}
    assert told["estimated_cost"]["unet_forwards"] == forwards
    assert (told["inputs"]["search"], told["inputs"]["count"]) == (True, 4)


def test_a_named_method_alone_is_searched(service: Harness) -> None:
    told = preview(service, search=True, method="p2plus").json()

    assert {one["method"] for one in told["candidates"]} == {"p2plus"}


def test_one_plain_result_has_no_candidates(service: Harness) -> None:
    told = preview(service).json()

    assert told["candidates"] == []
    assert "count" not in told["inputs"]


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"count": 2}, "/count", "send search: true"),
        ({"count": 9, "method": "sdedit"}, "/count", "less than or equal to 8"),
        ({"search": True, "method": "imagic"}, "/search", "no settings of imagic"),
        ({"parameters": {"region": {"words": ["zebra"]}}}, "/parameters/region/words", "zebra"),
        ({"parameters": {"region": {"words": ["circle"], "image_id": "img_1"}}}, "/parameters/region", "exactly one"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    service: Harness, changes: dict[str, Any], pointer: str, says: str
) -> None:
    problem = preview(service, **changes)

    assert problem.status_code == 422
    fault = problem.json()["errors"][0]
    assert fault["pointer"].startswith(pointer)
    assert says in fault["detail"]


def test_a_mask_of_another_size_is_refused_with_both_sizes(service: Harness) -> None:
    buffer = BytesIO()
    PIL.Image.new("L", (20, 10), 255).save(buffer, "PNG")
    mask = service.client.post("/images", files={"image": buffer.getvalue()}).json()["id"]

    problem = preview(service, parameters={"region": {"image_id": mask}})

    assert problem.status_code == 422
    assert problem.json()["errors"][0]["pointer"] == "/parameters/region/image_id"
    assert (problem.json()["mask_width"], problem.json()["mask_height"]) == (20, 10)


def test_a_mask_that_is_not_there_is_not_found(service: Harness) -> None:
    assert preview(service, parameters={"region": {"image_id": "img_none"}}).status_code == 404


def test_a_retried_search_is_the_same_search(service: Harness) -> None:
    inversion = service.invert(method="ddim", parameters={"timesteps": 10})
    service.work()
    first = service.edit(inversion_id=inversion["id"], search=True, parameters={"self_window": 0.3})
    error = JobError(code=ErrorCode.DIVERGED, detail="It diverged.", retryable=False)
    service.work(Outcome(state=JobState.FAILED, error=error))

    again = service.client.post(f"/edits/{first['id']}/retry").json()

    assert again["inputs"] == first["inputs"]
    assert again["parameters"] == first["parameters"]


def test_the_list_of_methods_tells_regions_and_what_is_searched(service: Harness) -> None:
    edits = {one["name"]: one for one in service.client.get("/methods").json()["edits"]}

    region = edits["p2plus"]["parameters"]["$defs"]["Region"]["properties"]
    assert (region["threshold"]["minimum"], region["threshold"]["maximum"]) == (0.0, 1.0)
    assert all("description" in region[name] for name in ("image_id", "words", "keep", "threshold"))
    assert edits["p2plus"]["search"][0]["value_window"] == 0.5
    assert {name for name, one in edits.items() if one["stochastic"]} == {"sdedit", "imagic"}
    assert edits["imagic"]["search"] == []
