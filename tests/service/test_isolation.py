"""No tenant ever meets another's things: a walk over every route of the document with another tenant's ids."""

import json
import re
from dataclasses import dataclass
from typing import Any, cast, final

from fastapi import FastAPI
from httpx2 import Response

from core.domain.ids import IdPrefix, new_id
from core.domain.job import JobState
from core.domain.ports import Outcome
from core.usecases.attempts import keep_preview
from core.usecases.events import list_events
from core.usecases.jobs import get_job
from tests.service.harness import GOOD, Harness, accepted, png, problem
from tests.service.test_access import OPEN

ADMIN = re.compile(r"/(keys|tenants)(/|$)")  # for operators, who see every tenant
FILE: dict[str, Any] = {"data": {"Content-Type": "image/png"}, "files": {"file": png()}}
TARGET = "a blue circle on grass"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What the tenant `acme` has, by the collection it is found in."""

    ids: dict[str, list[str]]
    previews: dict[str, tuple[str, int]]  # a running job, and the number of its preview
    uploads: dict[str, str]  # by media type

    def paths(self, path: str) -> dict[str, str]:
        """The path with each id that leads to something; an unknown collection or parameter is an error here."""
        collection = path.split("/")[1]
        found = [(id_, 0) for id_ in self.ids[collection]]
        if "{number}" in path:
            found = [self.previews[collection]]
        (id_name, *_) = re.findall(r"\{(\w+_id)\}", path)
        return {id_: path.format(name="image", number=number, **{id_name: id_}) for id_, number in found}

    def traces(self) -> set[str]:
        """Every id."""
        listed = {id_ for ids in self.ids.values() for id_ in ids}
        return listed | {id_ for id_, _ in self.previews.values()} | set(self.uploads.values())


def own(service: Harness) -> Owned:
    """Makes one of everything, as far along as it can be met."""
    endpoint = service.client.post("/webhook_endpoints", json={"url": "https://nowhere.invalid/"}).json()["id"]
    inversion = service.invert()
    claim = service.claim()
    files = tuple(service.artifact(claim, name=name) for name in ("image", "attention"))
    service.finish(claim, Outcome(state=JobState.SUCCEEDED, result=GOOD, artifacts=files))
    edit = service.edit(inversion_id=inversion["id"])
    service.work()
    service.edit(inversion_id=inversion["id"], seed=1)
    service.invert(seed=1)
    previews = dict(_previewed(service) for _ in range(2))
    item = {"custom_id": "a", "inversion_id": inversion["id"], "target_prompt": TARGET}
    batch = accepted(service.client.post("/batches", json={"items": [item]}))
    uploads = {
        "image/png": _uploaded(service, "image/png", png()),
        "application/x-ndjson": _uploaded(service, "application/x-ndjson", json.dumps(item).encode()),
    }
    ids = {
        "inversions": [inversion["id"]],
        "edits": [edit["id"]],
        "jobs": [inversion["id"], edit["id"]],
        "images": [inversion["inputs"]["image_id"]],
        "uploads": [uploads["image/png"]],
        "batches": [batch["id"]],
        "webhook_endpoints": [endpoint],
        "webhook_deliveries": [service.client.get("/webhook_deliveries").json()["items"][0]["id"]],
    }
    return Owned(ids=ids, previews={**previews, "jobs": previews["edits"]}, uploads=uploads)


def _previewed(service: Harness) -> tuple[str, tuple[str, int]]:
    claim = service.claim()
    key = f"{claim.job.folder}{claim.fence}/preview.png"
    service.ports.store.put(key, png(), media_type="image/png")
    assert keep_preview(service.ports.database, claim, key=key, timestep=1)
    number = max(event.number for event in list_events(service.ports.database, "acme", claim.job.id))
    return f"{claim.job.kind}s", (claim.job.id, number)


def _uploaded(service: Harness, media_type: str, data: bytes) -> str:
    upload = str(service.client.post("/uploads", json={"media_type": media_type}).json()["id"])
    service.ports.store.put(f"acme/uploads/{upload}", data, media_type=media_type)
    return upload


def routes(service: Harness) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every route that asks for a key."""
    paths = cast(FastAPI, service.client.app).openapi()["paths"]
    guarded = [(path, operations) for path, operations in paths.items() if path not in OPEN]
    return [(method, path, one) for path, operations in guarded for method, one in operations.items()]


def ask(service: Harness, method: str, path: str, headers: dict[str, str] | None = None) -> Response:
    """A sound request, whatever the path leads to."""
    sent: dict[str, Any] = FILE if path.startswith("/uploads/") else {}
    return service.client.request(method, path, headers=headers, **sent)


def test_another_tenants_id_in_a_path_is_like_one_that_is_not_there(anywhere: Harness) -> None:
    owned, other = own(anywhere), anywhere.key("other")
    walked = [
        (method, id_, filled)
        for method, path, _ in routes(anywhere)
        if "{" in path and not ADMIN.match(path)
        for id_, filled in owned.paths(path).items()
    ]
    # The owner finds something behind every one of them.
    found = {filled: ask(anywhere, method, filled).status_code for method, _, filled in walked if method == "get"}
    before = _state(anywhere, owned)

    for method, id_, filled in walked:
        unknown = new_id(IdPrefix(id_.partition("_")[0]))
        theirs = ask(anywhere, method, filled, other)
        nobodys = ask(anywhere, method, filled.replace(id_, unknown), other)
        assert (filled, problem(theirs)) == (filled, (404, "NOT_FOUND"))
        assert theirs.json()["detail"].replace(id_, unknown) == nobodys.json()["detail"]

    assert set(found.values()) == {200}
    assert len(walked) >= 40
    assert _state(anywhere, owned) == before


def _state(service: Harness, owned: Owned) -> list[Any]:
    """All that the owner sees of what other tenants must not change."""
    jobs = [service.client.get(f"/jobs/{id_}").json() for id_, _ in owned.previews.values()]
    listed = [
        service.client.get(path).json()["items"]
        for path in ("/jobs", "/batches", "/webhook_endpoints", "/webhook_deliveries")
    ]
    return [[job["state"], job["cancel_requested"]] for job in jobs] + [
        [one["id"] for one in items] for items in listed
    ]


def test_what_is_listed_for_a_tenant_shows_no_trace_of_another(anywhere: Harness) -> None:
    owned, other = own(anywhere), anywhere.key("other")
    pages = 0
    for method, path, operation in routes(anywhere):
        if method != "get" or "{" in path or ADMIN.match(path):
            continue
        names = {parameter["name"] for parameter in operation.get("parameters", [])}
        wanted = {"batch_id": owned.ids["batches"][0], "subject_id": owned.ids["jobs"][0]}
        for query in ({}, *({name: id_} for name, id_ in wanted.items() if name in names)):
            answer = anywhere.client.get(path, params=query, headers=other)
            assert answer.status_code == 200
            assert not [id_ for id_ in owned.traces() if id_ in answer.text]
            if "page_token" in names or path == "/webhook_endpoints":
                assert (path, answer.json()["items"]) == (path, [])
                pages += 1
        token = (
            anywhere.client.get(path, params={"page_size": 1}).json()["next_page_token"]
            if "page_token" in names
            else None
        )
        if token is not None:
            stolen = anywhere.client.get(path, params={"page_token": token}, headers=other)
            assert problem(stolen) == (400, "INVALID_PAGE_TOKEN")

    assert pages >= 8


def test_another_tenants_things_cannot_be_named_in_a_body(anywhere: Harness) -> None:
    owned = own(anywhere)
    anywhere.client.headers.update(anywhere.key("other"))
    bodies = _naming(owned, {"id": anywhere.image("green")})
    posted = {path for method, path, _ in routes(anywhere) if method == "post" and "{" not in path}

    assert posted - set(bodies) == {"/keys"}
    for path, sent in bodies.items():
        for body in sent:
            assert (body, problem(anywhere.client.post(path, json=body))) == (body, (404, "NOT_FOUND"))
    items = [{"custom_id": str(number), **one} for number, one in enumerate(bodies["/edits"])]
    batch = accepted(anywhere.client.post("/batches", json={"items": items}))
    results = [json.loads(line) for line in anywhere.client.get(batch["links"]["results"]).text.splitlines()]
    assert [result["error"]["code"] for result in results] == ["NOT_FOUND"] * len(items)
    assert anywhere.client.get("/jobs").json()["items"] == []


def _naming(owned: Owned, mine: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Bodies by path, sound but for one thing that belongs to another."""
    prompt = {"source_prompt": "a red circle on grass"}
    image, inversion = {"id": owned.ids["images"][0]}, {"inversion_id": owned.ids["inversions"][0]}
    upload, lines = ({"upload_id": one} for one in owned.uploads.values())
    style = {"method": "style_transfer", "parameters": {"content_image_id": image["id"]}}
    edit = {"target_prompt": TARGET}
    edits: list[dict[str, Any]] = [
        {**edit, **inversion},
        {**edit, **prompt, "image": image},
        {**edit, **prompt, "image": upload},
        {**edit, **prompt, "image": mine, **style},
        {**edit, **prompt, "image": mine, "parameters": {"region": {"image_id": image["id"]}}},
    ]
    return {
        "/images": [upload],
        "/inversions": [{**prompt, "image": image}, {**prompt, "image": upload}],
        "/edits": edits,
        "/batches": [
            {"input_upload_id": lines["upload_id"]},
            {"defaults": {"image": upload}, "items": [{"custom_id": "a", **edit, **prompt}]},
        ],
        # Nothing of a tenant's is named in these.
        "/uploads": [],
        "/webhook_endpoints": [],
    }


def test_what_operators_do_needs_the_scope_of_operators(service: Harness) -> None:
    refused = {
        problem(ask(service, method, path.format(key_id=new_id(IdPrefix.KEY), name="acme"), service.key("other")))
        for method, path, _ in routes(service)
        if ADMIN.match(path)
    }

    assert refused == {(403, "SCOPE_MISSING")}


def test_an_idempotency_key_is_the_tenants_own(service: Harness) -> None:
    once = {"Idempotency-Key": "one"}
    first = service.client.post("/images", files={"image": png()}, headers=once)
    second = service.client.post("/images", files={"image": png()}, headers={**once, **service.key("other")})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert "idempotent-replayed" not in second.headers


def test_equal_work_of_two_tenants_is_done_twice_and_shares_nothing(anywhere: Harness) -> None:
    owners = {"acme": dict(anywhere.client.headers), "other": anywhere.key("other")}
    held = {}
    for tenant, headers in owners.items():
        anywhere.client.headers.update(headers)
        inversion = anywhere.invert()
        done = anywhere.work()
        edit = anywhere.edit(inversion_id=inversion["id"])
        assert (inversion["duplicate_of"], done) == (None, inversion["id"])
        assert (edit["duplicate_of"], anywhere.work()) == (None, edit["id"])
        held[tenant] = _held(anywhere, tenant, [inversion["id"], edit["id"]])

    ours, theirs = held.values()
    assert all([*ours.values(), *theirs.values()])
    assert set(anywhere.ports.store.list("")) == ours["objects"] | theirs["objects"]
    assert [kind for kind in ours if ours[kind] & theirs[kind]] == []


def _held(service: Harness, tenant: str, job_ids: list[str]) -> dict[str, set[str]]:
    """All that is kept for a tenant: rows by id, and objects by key."""
    jobs = [get_job(service.ports.database, tenant, job_id) for job_id in job_ids]
    image_ids = {str(job.inputs["image_id"]) for job in jobs if "image_id" in job.inputs}
    with service.ports.database.read() as uow:
        images = [uow.images.get(tenant, image_id) for image_id in image_ids]
    keys = {artifact.key for job in jobs for artifact in job.artifacts}
    keys |= {image.key for image in images if image is not None}
    objects = set(service.ports.store.list(f"{tenant}/"))
    assert keys <= objects
    return {"images": image_ids, "jobs": set(job_ids), "keys": keys, "objects": objects}
