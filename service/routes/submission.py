"""What the two routes that make jobs share: the image a request brings, and the model it names."""

from typing import Annotated

from fastapi import Query

from core.domain.errors import ErrorCode, FieldError, InputError
from core.usecases.images import submit_image
from service.dependencies import Call
from service.routes.images import SENT
from service.schemas.requests import ImageInput

ValidateOnly = Annotated[bool, Query(description="Answer 200 with the resolved parameters and the cost; make no job.")]

SUBMITTED = (
    *SENT,
    ErrorCode.NOT_FOUND,
    ErrorCode.IDEMPOTENCY_IN_FLIGHT,
    ErrorCode.PROMPT_TOO_LONG,
)


def image_id(call: Call, image: ImageInput) -> str:
    """The id of the image a request names or brings."""
    if "id" in image.model_fields_set:
        return image.id
    return submit_image(call.ports.database, call.ports.store, call.tenant, data=image.base64).id


def refuse_other_model(call: Call, name: str | None) -> None:
    """Raises InputError (VALIDATION) unless this service runs the model."""
    own = call.ports.model.name
    if name not in {None, own}:
        detail = f"This service runs the model {own}."
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/model", detail),))
