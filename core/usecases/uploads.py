"""Files that callers put into the object store by themselves and name afterwards."""

from datetime import timedelta
from enum import StrEnum

from core.domain.errors import ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.ports import Database, ObjectStore
from core.domain.uploads import PostForm, Upload
from core.images import MAX_BYTES
from core.usecases.idempotency import Remember, keep_with

FORM_SECONDS = 3600  # a form is used at once or not at all; an hour allows for slow lines and clocks
_KEPT = timedelta(days=1)  # well past its form, so that nothing is sent to a place that is forgotten

Allowed = tuple[Upload, PostForm | None]


class UploadType(StrEnum):
    """What may be sent."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    LINES = "application/x-ndjson"


def allow_upload(
    database: Database,
    store: ObjectStore,
    tenant: str,
    *,
    media_type: UploadType,
    remember: Remember[Allowed] | None = None,
) -> Allowed:
    """Leave to send one file, and the store's form for it; None where the file comes through the service.

    Raises:
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    upload_id = new_id(IdPrefix.UPLOAD)
    key = f"{tenant}/uploads/{upload_id}"
    # Told only after the commit: what is sent is always found again by its row's age.
    form = store.presign_post(key, media_type=media_type, max_bytes=MAX_BYTES, expires_seconds=FORM_SECONDS)
    with database.begin() as uow:
        upload = Upload(
            id=upload_id,
            tenant=tenant,
            key=key,
            media_type=media_type,
            max_bytes=MAX_BYTES,
            created_at=uow.now(),
            expires_at=uow.now() + _KEPT,
        )
        uow.uploads.add(upload)
        keep_with(uow, (upload, form), remember)
        uow.commit()
    return upload, form


def get_upload(database: Database, tenant: str, upload_id: str) -> Upload:
    """What was allowed.

    Raises:
        NotFound: there is no such upload, or its time is over.
    """
    with database.read() as uow:
        upload = uow.uploads.get(tenant, upload_id)
    if upload is None:
        raise NotFound(f"There is no upload {upload_id}.")
    return upload


def receive_upload(store: ObjectStore, upload: Upload, *, data: bytes, media_type: str | None) -> None:
    """Keeps what comes through the service, under the conditions that a store's own form would have.

    Raises:
        InputError: VALIDATION: another type, nothing, or too much.
    """
    if media_type != upload.media_type:
        raise _refused(f"The file's type must be {upload.media_type}.")
    if not 1 <= len(data) <= upload.max_bytes:
        raise _refused(f"The file must have 1 to {upload.max_bytes} bytes.", max_bytes=upload.max_bytes)
    store.put(upload.key, data, media_type=upload.media_type)


def read_upload(database: Database, store: ObjectStore, tenant: str, *, upload_id: str) -> bytes:
    """What was sent.

    Raises:
        NotFound: there is no such upload, or nothing was sent to it.
    """
    upload = get_upload(database, tenant, upload_id)
    try:
        return store.get(upload.key)
    except NotFound as error:
        raise NotFound(f"Nothing was sent to the upload {upload_id}.") from error


def read_lines(database: Database, store: ObjectStore, tenant: str, *, upload_id: str) -> bytes:
    """The lines of JSON that were sent.

    Raises:
        NotFound: there is no such upload, or nothing was sent to it.
        InputError: VALIDATION: it is of another type.
    """
    media_type = get_upload(database, tenant, upload_id).media_type
    if media_type != UploadType.LINES:
        detail = f"The upload {upload_id} is of the type {media_type}; a batch is {UploadType.LINES.value}."
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/input_upload_id", detail),))
    return read_upload(database, store, tenant, upload_id=upload_id)


def _refused(detail: str, **numbers: float) -> InputError:
    return InputError(ErrorCode.VALIDATION, detail, errors=(FieldError("/file", detail),), **numbers)
