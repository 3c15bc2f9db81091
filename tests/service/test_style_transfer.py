"""A style transfer is asked for: its second picture, its sentences, and the inversions that have a style."""

from typing import Any

from core.domain.ids import IdPrefix
from tests.service.harness import Harness, accepted, problem, unknown_id


def _body(service: Harness, content: str, *, inversion: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    inverted = service.invert(**(inversion or {}))
    return {
        "inversion_id": inverted["id"],
        "target_prompt": "a red circle on grass",
        "method": "style_transfer",
        "parameters": {"content_image_id": content, **more},
    }


def test_the_content_is_an_image_of_the_callers(service: Harness) -> None:
    content = service.image("blue")

    job = accepted(service.client.post("/edits", json=_body(service, content)))

    assert job["parameters"]["content_image_id"] == content


def test_an_unknown_content_is_not_found(service: Harness) -> None:
    missing = unknown_id(IdPrefix.IMAGE)

    answer = service.client.post("/edits", json=_body(service, missing))

    assert problem(answer) == (404, "NOT_FOUND")
    assert missing in answer.json()["detail"]


def test_without_a_content_the_parameter_is_pointed_at(service: Harness) -> None:
    body = _body(service, service.image())
    del body["parameters"]["content_image_id"]

    answer = service.client.post("/edits", json=body)

    assert problem(answer) == (422, "VALIDATION")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/parameters/content_image_id"]


def test_an_inversion_without_a_style_is_refused_with_a_way_out(service: Harness) -> None:
    answer = service.client.post("/edits", json=_body(service, service.image(), inversion={"method": "direct"}))

    assert problem(answer) == (422, "VALIDATION")
    assert "invert the style picture with stylediffusion" in answer.json()["detail"]


def test_a_sentence_among_the_parameters_may_be_too_long(service: Harness) -> None:
    answer = service.client.post("/edits", json=_body(service, service.image(), content_prompt="red " * 400))

    assert problem(answer) == (422, "PROMPT_TOO_LONG")
    assert answer.json()["errors"][0]["pointer"] == "/parameters/content_prompt"
