"""What FastAPI cannot see by itself: bodies that come as JSON or as a form, and the shape of every problem."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.links import add_links
from service.problems import Problem
from service.schemas.batch_requests import BatchItem, CreateBatch
from service.schemas.fields import Body
from service.schemas.requests import CreateEdit, CreateImage, CreateInversion
from service.schemas.tenants import CreateKey, RotateKey, TenantSettings
from service.schemas.uploads import CreateUpload
from service.schemas.webhooks import CreateEndpoint

_DESCRIPTION = """Edits photographs by words.

Send an image and a sentence that describes it (an inversion), then other sentences (edits). Jobs run in the
background: read them by id, wait with `?wait=`, or list them. Errors are RFC 9457 problems with a stable `code`.
"""
_REF = "#/components/schemas/{model}"
_BODIES = (
    *(CreateImage, CreateInversion, CreateEdit, CreateBatch, BatchItem),
    *(CreateUpload, CreateEndpoint, CreateKey, RotateKey, TenantSettings),
)


def request_body(model: type[Body], *, multipart: bool = False, lines: Sequence[str] = ()) -> dict[str, Any]:
    """The OpenAPI entry of a body that the service reads itself; `lines` are the media types of lines of JSON."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    if multipart:
        content["multipart/form-data"] = {"schema": _form(model)}
    for media_type in lines:
        content[media_type] = {"schema": {"type": "string", "description": "One JSON document a line."}}
    return {"requestBody": {"required": True, "content": content}}


def add_openapi(app: FastAPI) -> None:
    """Replaces the application's document by one that is complete."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(_definitions())
            _drop_defaults(made)
            add_links(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _definitions() -> dict[str, Any]:
    models = [*((model, "validation") for model in _BODIES), (Problem, "serialization")]
    _, document = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    definitions: dict[str, Any] = document["$defs"]
    return definitions


def _drop_defaults(document: dict[str, Any]) -> None:
    """Takes away the 422 that FastAPI declares of itself: it never leaves this service."""
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            answer = operation["responses"].get("422", {})
            if "application/json" in answer.get("content", {}):
                del operation["responses"]["422"]


def _form(model: type[Body]) -> dict[str, Any]:
    """The model's fields as form fields: text as it is, documents as JSON, and the image as a file."""
    properties: dict[str, Any] = {"image": {"type": "string", "format": "binary"}}
    required = ["image"] if model is not CreateEdit else []
    for name, field in model.model_fields.items():
        if name in {"image", "base64", "upload_id", "url"}:
            continue
        properties[name] = {"type": "string", "description": field.description or "See the JSON form."}
        if field.is_required():
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}
