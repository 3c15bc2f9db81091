"""Inversions and edits are accepted, resolved, shared, previewed, or refused with a pointer to the fault."""

import json
from base64 import b64encode
from typing import Any

import pytest

from core.domain.ids import IdPrefix
from core.domain.job import JobState
from core.domain.ports import Outcome
from tests.service.harness import Harness, accepted, png, problem, unknown_id


def test_an_inversion_is_accepted_with_every_parameter_resolved(anywhere: Harness) -> None:
    answer = anywhere.client.post("/inversions", json=anywhere.inversion(parameters={"timesteps": 10}))

    job = accepted(answer)
    assert answer.headers["location"] == job["links"]["self"] == f"/inversions/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert job["state"] == "queued"
    assert job["done"] is False
    assert job["method"] == "stylediffusion"
    assert job["parameters"]["timesteps"] == 10
    assert job["parameters"]["inner_steps"] > 0
    assert job["model"]["name"] == "pocket"


def test_an_inversion_is_accepted_from_a_form(service: Harness) -> None:
    fields = {"source_prompt": '{"a": "red circle"}', "parameters": '{"timesteps": 7}', "seed": "3", "fit": "pad"}

    job = accepted(service.client.post("/inversions", data=fields, files={"image": png()}))

    assert job["inputs"]["source_prompt"] == fields["source_prompt"]  # text stays text
    assert job["inputs"]["fit"] == "pad"
    assert job["parameters"]["timesteps"] == 7
    assert job["seed"] == 3


def test_an_edit_waits_for_its_inversion_and_runs_after_it(anywhere: Harness) -> None:
    inversion = anywhere.invert()
    edit = anywhere.edit(inversion_id=inversion["id"])
    read = f"/edits/{edit['id']}"

    states = [anywhere.client.get(read).json()["state"]]
    assert anywhere.work() == inversion["id"]
    states.append(anywhere.client.get(read).json()["state"])
    assert anywhere.work() == edit["id"]
    done = anywhere.client.get(read).json()

    assert [*states, done["state"]] == ["waiting", "queued", "succeeded"]
    assert done["done"] is True
    assert done["result"] == {"quality": {"psnr": 40.0}}
    assert done["expires_at"] is not None


def test_an_edit_of_an_image_brings_its_inversion(service: Harness) -> None:
    image = {"base64": b64encode(png()).decode()}
    own = {"method": "ddim", "parameters": {"timesteps": 5}}

    edit = service.edit(image=image, source_prompt="a red circle on grass", inversion=own)

    inversion = service.client.get(f"/inversions/{edit['inputs']['inversion_id']}").json()
    assert inversion["method"] == "ddim"
    assert inversion["parameters"]["timesteps"] == 5
    assert edit["state"] == "waiting"


def test_equal_inversions_are_done_once(service: Harness) -> None:
    body = service.inversion()
    first, second = (accepted(service.client.post("/inversions", json=body)) for _ in range(2))
    assert service.work() == first["id"]

    read = service.client.get(f"/inversions/{second['id']}").json()

    assert second["duplicate_of"] == first["id"]
    assert second["state"] == "waiting"
    assert read["state"] == "succeeded"
    assert read["result"] == {"quality": {"psnr": 40.0}}


def test_an_edit_of_a_failed_inversion_is_refused(service: Harness) -> None:
    inversion = service.invert()
    service.work(Outcome(state=JobState.FAILED))

    answer = service.client.post("/edits", json={"inversion_id": inversion["id"], "target_prompt": "a blue circle"})

    assert problem(answer) == (409, "INVERSION_FAILED")


def test_a_preview_makes_no_job(service: Harness) -> None:
    inversion = service.invert(parameters={"timesteps": 10})
    before = service.client.get("/jobs").json()

    body = {"inversion_id": inversion["id"], "target_prompt": "a blue circle on grass"}
    edit = service.client.post("/edits?validate_only=true", json=body)
    image = {"base64": b64encode(png()).decode()}
    both = service.client.post(
        "/edits?validate_only=true",
        json={"image": image, "source_prompt": "a circle", "target_prompt": "a star", "inversion": {"method": "ddim"}},
    )
    plain = service.client.post("/inversions?validate_only=true", json=service.inversion(method="ddim"))

    assert [answer.status_code for answer in (edit, both, plain)] == [200, 200, 200]
    assert edit.json()["parameters"]["cross_window"] == 0.6
    assert edit.json()["estimated_cost"] == {"unet_forwards": 40, "unet_backwards": 0}
    assert plain.json()["estimated_cost"] == {"unet_forwards": 150, "unet_backwards": 0}
    assert both.json()["estimated_cost"] == {"unet_forwards": 350, "unet_backwards": 0}
    assert service.client.get("/jobs").json() == before


def test_what_the_model_has_never_seen_is_a_warning(service: Harness) -> None:
    job = service.invert(source_prompt="a photograph of a dog")

    assert "dog" in job["warnings"][0]


def test_a_prompt_of_500_words_is_too_long(service: Harness) -> None:
    inversion = service.invert()
    words = " ".join(["red"] * 500)

    for answer in (
        service.client.post("/inversions", json=service.inversion(source_prompt=words)),
        service.client.post("/edits", json={"inversion_id": inversion["id"], "target_prompt": words}),
    ):
        assert problem(answer) == (422, "PROMPT_TOO_LONG")
        assert answer.json()["tokens"] == 500
        assert answer.json()["errors"][0]["pointer"] in {"/source_prompt", "/target_prompt"}


BLEND = {"source_words": ["circle"], "target_words": ["circle"]}


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        (
            {"parameters": {"blend": {**BLEND, "target_words": ["dog"]}}},
            "WORD_NOT_IN_PROMPT",
            "/parameters/blend/target_words",
        ),
        ({"parameters": {"reweight": {"dog": 2}}}, "WORD_NOT_IN_PROMPT", "/parameters/reweight"),
        (
            {"parameters": {"cross_rule": "replace"}, "target_prompt": "a circle"},
            "PROMPTS_NOT_ALIGNED",
            "/parameters/cross_rule",
        ),
        ({"parameters": {"self_window": 1.5}}, "VALIDATION", "/parameters/self_window"),
        ({"parameters": {"self_windw": 0.5}}, "VALIDATION", "/parameters/self_windw"),
        ({"method": "nothing"}, "VALIDATION", "/method"),
        ({"model": "another"}, "VALIDATION", "/model"),
        ({"seed": True}, "VALIDATION", "/seed"),
        ({"seed": 2**53}, "VALIDATION", "/seed"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "VALIDATION", "/metadata"),
        ({"metadata": {"key": "\x00"}}, "VALIDATION", "/metadata/key"),
        ({"target_prompt": "nul \x00"}, "VALIDATION", "/target_prompt"),
        ({"target_prompt": ""}, "VALIDATION", "/target_prompt"),
        ({"extra": 1}, "VALIDATION", "/extra"),
        ({"source_prompt": "a circle"}, "VALIDATION", ""),
        ({"inversion": {"method": "ddim"}}, "VALIDATION", ""),
    ],
)
def test_a_fault_is_pointed_at(service: Harness, changes: dict[str, Any], code: str, pointer: str) -> None:
    body = {"inversion_id": service.invert()["id"], "target_prompt": "a blue circle on grass", **changes}

    answer = service.client.post("/edits", json=body)

    assert problem(answer) == (422, code)
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]


def test_what_is_not_there_is_not_found(service: Harness) -> None:
    for inversion_id in (unknown_id(IdPrefix.INVERSION), "", "x", "\N{SNOWMAN}"):
        answer = service.client.post("/edits", json={"inversion_id": inversion_id, "target_prompt": "a star"})
        assert problem(answer) == (404, "NOT_FOUND")
    for image_id in (unknown_id(IdPrefix.IMAGE), "", "x"):
        answer = service.client.post("/inversions", json=service.inversion(image={"id": image_id}))
        assert problem(answer) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "image", [{}, {"id": "a", "base64": "aaaa"}, {"url": "https://example.com", "id": "a"}, None, "x", []]
)
def test_an_image_is_named_in_exactly_one_way(service: Harness, image: Any) -> None:
    assert problem(service.client.post("/inversions", json=service.inversion(image=image))) == (422, "VALIDATION")


def test_a_deadline_is_kept(service: Harness) -> None:
    answer = service.client.post("/inversions", json=service.inversion(), headers={"Cancel-After": "60"})
    refused = service.client.post("/inversions", json=service.inversion(), headers={"Cancel-After": "soon"})

    assert accepted(answer)["deadline_at"] is not None
    assert problem(refused) == (422, "VALIDATION")
    assert refused.json()["errors"][0]["pointer"] == "/header/cancel-after"


def test_a_form_with_a_faulty_field_is_refused(service: Harness) -> None:
    fields = {"source_prompt": "a circle"}
    twice = service.client.post(
        "/inversions", data={**fields, "image": json.dumps({"id": "x"})}, files={"image": png()}
    )
    elsewhere = service.client.post("/inversions", data=fields, files={"picture": png()})
    broken = service.client.post("/inversions", data={**fields, "parameters": "{"}, files={"image": png()})

    assert problem(twice) == (422, "VALIDATION")
    assert problem(elsewhere) == (422, "VALIDATION")
    assert problem(broken) == (400, "MALFORMED_JSON")
