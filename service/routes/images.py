"""Images: sent once, then named by their id."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from core.domain.errors import ErrorCode
from core.domain.job import StoredImage
from core.usecases.images import fetch_image, get_image, submit_image
from core.usecases.uploads import read_upload
from service.answers import answer_once, once
from service.bodies import Received, received
from service.dependencies import Call, ImageId, Posting, Reading
from service.files import PNG, UNCHANGED, answer_file
from service.openapi import request_body
from service.problems import REPEATABLE, declared
from service.schemas.images import ImageView
from service.schemas.requests import CreateImage, ImageSource

router = APIRouter(prefix="/images", tags=["images"])

SENT = (
    *REPEATABLE,
    ErrorCode.MALFORMED_JSON,
    ErrorCode.BODY_TOO_LARGE,
    ErrorCode.MEDIA_TYPE,
    ErrorCode.VALIDATION,
    ErrorCode.IMAGE_UNREADABLE,
    ErrorCode.IMAGE_TOO_LARGE,
    ErrorCode.URL_BLOCKED,
    ErrorCode.INPUT_FETCH_FAILED,
    ErrorCode.NOT_FOUND,
)
_File = Annotated[Received[CreateImage], Depends(received(CreateImage, file_at=("base64",)))]


@router.post(
    "",
    status_code=201,
    response_model=ImageView,
    responses=declared(*SENT),
    openapi_extra=request_body(CreateImage, multipart=True),
)
def create_image(*, call: Posting, sent: _File) -> Response:
    """Keeps an image; the same bytes give the same id.

    Accepted are PNG, JPEG and WebP. The EXIF orientation is applied, transparency is laid on white, a colour profile
    is converted to sRGB, and all other metadata is dropped.
    """

    def answer() -> Response:
        image = keep_image(call, sent.body)
        return answer_once(call, sent.fingerprint, status=201, shown=ImageView.of(image))

    return once(call, sent.fingerprint, answer)


def keep_image(call: Call, source: ImageSource) -> StoredImage:
    """The image that a request brings: in its body, by an upload, or by a URL."""
    ports = call.ports
    if "url" in source.model_fields_set:
        return fetch_image(ports.database, ports.store, ports.web, tenant=call.owner, url=source.url)
    if "upload_id" in source.model_fields_set:
        data = read_upload(ports.database, ports.store, call.tenant, upload_id=source.upload_id)
    else:
        data = source.base64
    return submit_image(ports.database, ports.store, call.tenant, data=data)


@router.get("/{image_id}", responses=declared(ErrorCode.NOT_FOUND))
def read_image(*, call: Reading, image_id: ImageId) -> ImageView:
    """An image's id, digest and size."""
    return ImageView.of(get_image(call.ports.database, call.tenant, image_id))


@router.get(
    "/{image_id}/content",
    response_class=Response,
    responses={**PNG, **UNCHANGED, **declared(ErrorCode.NOT_FOUND)},
)
def read_content(*, call: Reading, image_id: ImageId) -> Response:
    """The picture itself as it is kept and edited: upright, sRGB, three channels (PNG)."""
    image = get_image(call.ports.database, call.tenant, image_id)
    return answer_file(call, image.key, version=image.id, media_type="image/png")
