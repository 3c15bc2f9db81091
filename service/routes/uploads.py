"""Uploads: files that go to the object store without passing through a request's body here."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import AfterValidator
from starlette.datastructures import UploadFile

from core.domain.errors import ErrorCode, FieldError, InputError
from core.usecases.idempotency import Remember
from core.usecases.uploads import Allowed, allow_upload, get_upload, receive_upload
from service.answers import make_once
from service.bodies import Received, media_type_of, received
from service.dependencies import UPLOAD_ID, Posting, Writing, known_form
from service.openapi import request_body
from service.problems import REPEATABLE, declared
from service.schemas.uploads import CreateUpload, UploadView

router = APIRouter(prefix="/uploads", tags=["uploads"])

_SENT = (ErrorCode.MALFORMED_JSON, ErrorCode.BODY_TOO_LARGE, ErrorCode.MEDIA_TYPE, ErrorCode.VALIDATION)
_POSTED = (*_SENT, *REPEATABLE)
_Sent = Annotated[Received[CreateUpload], Depends(received(CreateUpload))]
_UploadId = Annotated[str, Path(), AfterValidator(known_form(UPLOAD_ID, "upload"))]
_TYPE = "Content-Type"
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {_TYPE: {"type": "string"}, "file": {"type": "string", "format": "binary"}},
                    "required": [_TYPE, "file"],
                }
            }
        },
    }
}


async def _read_form(request: Request) -> tuple[str | None, bytes]:
    if media_type_of(request) != "multipart/form-data":
        raise InputError(ErrorCode.MEDIA_TYPE, "Send multipart/form-data.")
    async with request.form(max_files=1, max_fields=8) as form:
        media_type, file = form.get(_TYPE), form.get("file")
        if not isinstance(file, UploadFile):
            detail = "The form must have a file named `file`."
            raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/file", detail),))
        return media_type if isinstance(media_type, str) else None, await file.read()


@router.post(
    "",
    status_code=201,
    response_model=UploadView,
    responses=declared(*_POSTED),
    openapi_extra=request_body(CreateUpload),
)
def create_upload(*, call: Posting, sent: _Sent) -> Response:
    """Allows one file to be sent to the object store, under one key, of one type, of at most 32 MiB.

    Send it within the hour; then `{"upload_id": "…"}` stands for it. It is deleted a day later.
    """
    ports, media_type = call.ports, sent.body.media_type

    def make(remember: Remember[Allowed] | None) -> tuple[Allowed, dict[str, Any]]:
        return allow_upload(ports.database, ports.store, call.tenant, media_type=media_type, remember=remember), {}

    return make_once(call, sent.fingerprint, make, status=HTTPStatus.CREATED, show=lambda made: UploadView.of(*made))


@router.post("/{upload_id}", status_code=204, responses=declared(*_SENT, ErrorCode.NOT_FOUND), openapi_extra=_FORM)
def send_file(
    *, call: Writing, upload_id: _UploadId, form: Annotated[tuple[str | None, bytes], Depends(_read_form)]
) -> Response:
    """Takes the file where the object store has no address of its own; the same form as the store's."""
    upload = get_upload(call.ports.database, call.tenant, upload_id)
    media_type, data = form
    receive_upload(call.ports.store, upload, data=data, media_type=media_type)
    return Response(status_code=HTTPStatus.NO_CONTENT)
