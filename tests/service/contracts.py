"""What both contract tests share: the document, the checks, and bodies about things that are there."""

from typing import Any

from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.settings import Settings
from service.app import create_app

# Not among them: acceptance of all that fits the schema, for no schema says which bytes are an image.
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOCUMENT = create_app(Settings()).openapi()
UNHINDERED = Settings(requests_per_minute=10**6, max_unfinished_jobs=10**6)  # else most answers would be 429


def grounded(path: str, body: dict[str, Any], *, image: str, inversion: str) -> dict[str, Any]:
    """The same body about things that are there, so that some submissions are sound."""
    body = {**body, "parameters": {}, "model": None}
    if path == "/inversions":
        return {**body, "image": {"id": image}, "source_prompt": "a red circle"}
    if path == "/batches":
        item = {"custom_id": "a", "inversion_id": inversion, "target_prompt": "a blue circle"}
        return {"items": [item, *body.get("items", [])], "expires_in": 60}
    for other in ("image", "source_prompt", "inversion"):
        body.pop(other, None)
    return {**body, "inversion_id": inversion, "target_prompt": "a blue circle"}
