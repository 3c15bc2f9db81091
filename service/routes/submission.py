"""What the two routes that make jobs share: the image a request brings, and the model it names."""

from typing import Annotated, Any

from fastapi import Query

from core.domain.errors import ErrorCode, FieldError, InputError
from core.usecases.webhooks import check_webhook
from service.dependencies import Call
from service.routes.images import SENT, keep_image
from service.schemas.requests import ImageInput
from service.schemas.webhooks import JobWebhook

ValidateOnly = Annotated[bool, Query(description="Answer 200 with the resolved parameters and the cost; make no job.")]

SUBMITTED = (
    *SENT,
    ErrorCode.PROMPT_TOO_LONG,
    ErrorCode.QUEUE_FULL,
    ErrorCode.QUOTA_EXCEEDED,
)


def image_id(call: Call, image: ImageInput) -> str:
    """The id of the image a request names or brings."""
    return image.id if "id" in image.model_fields_set else keep_image(call, image).id


def webhook_of(call: Call, webhook: JobWebhook | None) -> dict[str, Any] | None:
    """What a job keeps of the webhook it names, which must be one that may be called."""
    if webhook is None:
        return None
    check_webhook(call.ports.database, call.ports.web, call.tenant, url=webhook.url)
    return webhook.to_document()


def refuse_other_model(call: Call, name: str | None) -> None:
    """Raises InputError (VALIDATION) unless this service runs the model."""
    own = call.ports.model.name
    if name not in {None, own}:
        detail = f"This service runs the model {own}."
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/model", detail),))
