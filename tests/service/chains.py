"""Chains of requests along the links of the OpenAPI document, made so that most of them succeed."""

import json
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from core.domain.ids import IdPrefix, new_id
from core.domain.job import JobClass, JobState
from core.domain.ports import Outcome
from core.usecases.attempts import claim_next
from core.usecases.keys import Scope
from tests.service.contracts import CHECKS, DOCUMENT
from tests.service.harness import GOOD, Harness, png

_SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
_OPERATIONS = {
    operation["operationId"]: _SCHEMA[path][method]
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
_PICTURE = b64encode(png()).decode()
_PROMPTS = {"source_prompt": "a red circle", "target_prompt": "a blue circle"}
_ITEM = {"custom_id": "a", "image": {"base64": _PICTURE}, **_PROMPTS}
_DESTROYING = ("_delete", "_revoke", "_remove_endpoint")
_NOWHERE = "https://nowhere.invalid/"
_LINKED = ("image", "inversion_id", "upload_id", "input_upload_id")  # fields that links fill
# Only once a job has ended have these an end or anything to show.
_OF_ENDED_JOBS = ("/events", "/artifacts", "/attention")


class Answer(NamedTuple):
    """What was asked with, and what was answered."""

    path_parameters: Mapping[str, str]
    body: Any


class Link(NamedTuple):
    """From the success of one operation to another."""

    source: str
    target: str


LINKS: Mapping[Link, Mapping[str, Any]] = {
    Link(name, target): link
    for name, operation in _OPERATIONS.items()
    for answer in operation.definition.raw["responses"].values()
    for target, link in answer.get("links", {}).items()
}


@final
@dataclass(frozen=True, slots=True)
class Beginning:
    """What a tenant has been answered before the chains begin."""

    service: Harness
    key: Mapping[str, str]
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def send(self, name: str, body: Any = None, **parameters: str) -> Any:
        """Sends a sound request to an operation, and keeps the answer."""
        operation = _OPERATIONS[name]
        path = operation.path.format(**parameters)
        answer = self.service.client.request(operation.method, path, json=body, headers=dict(self.key))
        assert answer.is_success, answer.text
        self.answers[name].append(Answer(parameters, answer.json()))
        return answer.json()

    def cancel(self, job_id: str) -> None:
        """Of this no answer is kept: no link begins there."""
        self.service.client.post(f"/jobs/{job_id}/cancel", headers=dict(self.key))

    def retried(self, body: dict[str, Any], *, kind: str, actions: str) -> str:
        """A job like one that was canceled."""
        job = self.send(f"{kind}s_create_{kind}", body)["id"]
        self.cancel(job)
        return str(self.send(f"{actions}_retry", job_id=job)["id"])


@final
@dataclass(frozen=True, slots=True)
class Walk:
    """Chains of requests to one service, each of a tenant of its own, and how often each link led to a success."""

    service: Harness
    address: str
    followed: Counter[Link] = field(default_factory=Counter)

    def follow(self, source: str, data: st.DataObject) -> None:
        """Asks for all that follows each answer of an operation, in any order, what destroys it last but one."""
        tenant = new_id(IdPrefix.KEY)
        key = self.service.key(tenant, scopes=frozenset(Scope))
        answers = self._begin(key, tenant)[source]
        own = [link for link in LINKS if link.source == source]
        order = sorted(data.draw(st.permutations(own)), key=lambda link: link.target.endswith(_DESTROYING))
        for link in (*order, data.draw(st.sampled_from(own))):
            case = data.draw(_OPERATIONS[link.target].as_strategy(generation_mode=GenerationMode.POSITIVE))
            for answer in answers:
                _fill(case, LINKS[link], answer)
                self._prepare(case, tenant)
                response = case.call_and_validate(base_url=self.address, headers=key, checks=CHECKS)
                self.followed[link] += response.status_code < 300

    def _begin(self, key: dict[str, str], tenant: str) -> dict[str, list[Answer]]:
        """A successful answer, or more, of every operation that a link begins at."""
        beginning = Beginning(self.service, key)
        send = beginning.send
        image = {"id": send("images_create_image", {"base64": _PICTURE})["id"]}
        for media_type in ("image/png", "application/x-ndjson"):
            self._send_file(send("uploads_create_upload", {"media_type": media_type}), tenant)
        send("webhooks_create_endpoint", {"url": _NOWHERE})
        send("keys_rotate", {}, key_id=send("keys_create_key", {"tenant": f"{tenant}-2"})["id"])
        bodies = {"inversion": {"image": image, "source_prompt": "a red circle"}, "edit": {"image": image, **_PROMPTS}}
        for kind, body in bodies.items():
            for seed, actions in enumerate((f"{kind}s", "jobs")):
                done = beginning.retried({**body, "seed": seed}, kind=kind, actions=actions)
                self._work()
                send(f"{actions}_list")
                send(f"{actions}_artifacts", job_id=done)
                beginning.cancel(beginning.retried({**body, "seed": 10 + seed}, kind=kind, actions=actions))
            send(f"{kind}s_create_{kind}", {**body, "seed": 20})
        send("webhooks_list_all_deliveries")
        send("batches_create_batch", {"items": [_ITEM]})
        send("batches_list")
        return beginning.answers

    def _prepare(self, case: Case[Any], tenant: str) -> None:
        """Makes a request sound that no schema can make so."""
        case.query.pop("page_token", None)
        case.query.pop("wait", None)  # nobody works here but between requests
        if "idempotency-key" in case.headers:
            case.headers["idempotency-key"] = new_id(IdPrefix.KEY)
        if case.path.endswith(_OF_ENDED_JOBS):
            self._work()
        if isinstance(case.body, dict):
            case.body = _sound(case.path, case.body, tenant)
            case.media_type = "multipart/form-data" if case.path == "/uploads/{upload_id}" else "application/json"

    def _send_file(self, upload: dict[str, Any], tenant: str) -> None:
        media_type = upload["fields"]["Content-Type"]
        data = png() if media_type.startswith("image/") else json.dumps(_ITEM).encode()
        self.service.ports.store.put(f"{tenant}/uploads/{upload['id']}", data, media_type=media_type)

    def _work(self) -> None:
        ports = self.service.ports
        while claim := claim_next(ports.database, lease_seconds=60, classes=tuple(JobClass), model=ports.model):
            files = tuple(self.service.artifact(claim, name=name) for name in ("image", "attention"))
            self.service.finish(claim, Outcome(state=JobState.SUCCEEDED, result=GOOD, artifacts=files))


def _fill(case: Case[Any], link: Mapping[str, Any], source: Answer) -> None:
    """Puts into a request what a link takes from an earlier one."""
    for name, expression in link.get("parameters", {}).items():
        given = case.path_parameters if f"{{{name}}}" in case.path else case.query
        given[name] = _value(expression, source)
    if isinstance(case.body, dict):
        drawn = {name: value for name, value in case.body.items() if name not in _LINKED}
        case.body = drawn | {name: _value(wanted, source) for name, wanted in link.get("requestBody", {}).items()}


def _value(expression: Any, source: Answer) -> Any:
    """What a runtime expression stands for (OpenAPI 3.1, Runtime Expressions)."""
    if isinstance(expression, dict):
        return {name: _value(inner, source) for name, inner in expression.items()}
    body = source.body
    where, _, pointer = expression.partition("#")
    if where.startswith("$request.path."):
        return source.path_parameters[where.removeprefix("$request.path.")]
    for part in pointer.split("/")[1:]:
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def _sound(path: str, body: dict[str, Any], tenant: str) -> dict[str, Any]:
    """The same body with prompts that fit, and of the tenant's own; what a link filled in stays."""
    kept: dict[str, Any] = {name: body[name] for name in _LINKED if name in body}
    picture = {"image": {"base64": _PICTURE}, "source_prompt": _PROMPTS["source_prompt"]}
    edited = {} if "inversion_id" in kept else picture
    sound: dict[str, dict[str, Any]] = {
        "/images": kept or {"base64": _PICTURE},
        "/uploads/{upload_id}": {"Content-Type": "image/png", "file": png()},
        "/inversions": {**picture, **kept},
        "/edits": {**edited, **kept, "target_prompt": _PROMPTS["target_prompt"]},
        "/batches": kept or {"items": [_ITEM]},
        "/webhook_endpoints": {**body, "url": _NOWHERE},
        "/keys": {**body, "tenant": f"{tenant}-2"},
    }
    return sound.get(path, body)
