"""Where each answer leads: OpenAPI links, by which a generated client, or a test, goes on with what it was given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from core.domain.job import JobKind
from service.schemas.jobs import COLLECTIONS

_ID = "$response.body#/id"
_FIRST_ID = "$response.body#/items/0/id"
_SUCCESSES = ("200", "201", "202")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Link:
    """From the success of one operation to a parameter, or to fields of the body, of another."""

    source: str
    target: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        document: dict[str, Any] = {"operationId": self.target}
        if self.parameters:
            document["parameters"] = dict(self.parameters)
        if self.fields:
            document["requestBody"] = dict(self.fields)
            document["description"] = "These fields of the body; the others are the caller's to say."
        return document


def add_links(document: dict[str, Any]) -> None:
    """Adds the links to the answers of a finished document.

    Raises:
        KeyError: a link names an operation that the document lacks.
    """
    operations = {one["operationId"]: one for path in document["paths"].values() for one in path.values()}
    for link in _links():
        name = operations[link.target]["operationId"]
        for status, answer in operations[link.source]["responses"].items():
            # A job that was only previewed has no id.
            if status in _SUCCESSES and not (status == "200" and "202" in operations[link.source]["responses"]):
                answer.setdefault("links", {})[name] = link.document()


def _links() -> Iterator[_Link]:
    for collection in COLLECTIONS.values():
        create = f"{collection}_create_{collection.removesuffix('s')}"
        yield from _to_job(create, collection)
        yield from _to_job(create, "jobs")
        yield from _to("subject_id", source=create, targets=["webhooks_list_all_deliveries"])
    for collection in (*COLLECTIONS.values(), "jobs"):
        yield from _to_job(f"{collection}_retry", collection)
        yield from _to("job_id", source=f"{collection}_list", targets=[f"{collection}_read"], value=_FIRST_ID)
        yield _Link(
            source=f"{collection}_artifacts",
            target=f"{collection}_artifact",
            parameters={"job_id": "$request.path.job_id", "name": "$response.body#/0/name"},
        )
    inversion = f"{COLLECTIONS[JobKind.INVERSION]}_create_inversion"
    yield from _to("job_id", source=inversion, targets=["inversions_read_attention"])
    yield from _to("inversion_id", source=inversion, targets=["edits_list"])
    yield _Link(source=inversion, target="edits_create_edit", fields={"inversion_id": _ID})
    yield from _of_pictures()
    yield from _of_batches()
    yield from _of_operators()


def _to(parameter: str, *, source: str, targets: list[str], value: str = _ID) -> Iterator[_Link]:
    for target in targets:
        yield _Link(source=source, target=target, parameters={parameter: value})


def _to_job(source: str, collection: str) -> Iterator[_Link]:
    actions = ("read", "cancel", "retry", "delete", "events", "artifacts")
    return _to("job_id", source=source, targets=[f"{collection}_{action}" for action in actions])


def _of_pictures() -> Iterator[_Link]:
    image, upload = "images_create_image", "uploads_create_upload"
    yield from _to("image_id", source=image, targets=["images_read_image", "images_read_content"])
    yield _Link(source=image, target="inversions_create_inversion", fields={"image": {"id": _ID}})
    yield _Link(source=image, target="edits_create_edit", fields={"image": {"id": _ID}})
    yield from _to("upload_id", source=upload, targets=["uploads_send_file"])
    yield _Link(source=upload, target=image, fields={"upload_id": _ID})
    yield _Link(source=upload, target="batches_create_batch", fields={"input_upload_id": _ID})


def _of_batches() -> Iterator[_Link]:
    actions = ("read", "results", "cancel", "retry")
    yield from _to("batch_id", source="batches_create_batch", targets=[f"batches_{action}" for action in actions])
    yield from _to("batch_id", source="batches_create_batch", targets=["jobs_list"])
    yield from _to("batch_id", source="batches_list", targets=["batches_read"], value=_FIRST_ID)


def _of_operators() -> Iterator[_Link]:
    yield from _to("endpoint_id", source="webhooks_create_endpoint", targets=["webhooks_remove_endpoint"])
    deliveries, again = "webhooks_list_all_deliveries", ["webhooks_send_again"]
    yield from _to("delivery_id", source=deliveries, targets=again, value=_FIRST_ID)
    yield from _to("key_id", source="keys_create_key", targets=["keys_rotate", "keys_revoke"])
    yield from _to("key_id", source="keys_rotate", targets=["keys_rotate", "keys_revoke"])
    tenant = ["tenants_read_tenant", "tenants_change_tenant"]
    yield from _to("name", source="keys_create_key", targets=tenant, value="$response.body#/tenant")
