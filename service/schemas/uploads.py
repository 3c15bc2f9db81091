"""Uploads as callers ask for them and see them."""

from datetime import datetime
from typing import Literal, Self, final

from pydantic import BaseModel, Field

from core.domain.uploads import PostForm, Upload
from core.usecases.uploads import UploadType
from service.schemas.fields import Body


@final
class CreateUpload(Body):
    """What is to be sent: an image, or the items of a batch as lines of JSON."""

    media_type: UploadType


@final
class UploadView(BaseModel):
    """Leave to send one file: as a multipart form with these fields first, then the file as the field `file`."""

    id: str = Field(description="Once the file is sent, what `upload_id` names.")
    method: Literal["POST"] = "POST"
    url: str = Field(description="Of the object store, or a path of this service, which wants the API key too.")
    fields: dict[str, str]
    max_bytes: int
    expires_at: datetime = Field(description="Until when what was sent is kept; the form itself holds for an hour.")

    @classmethod
    def of(cls, upload: Upload, form: PostForm | None) -> Self:
        """Without a form of the store's own the file is sent here."""
        form = form or PostForm(url=f"/uploads/{upload.id}", fields={"Content-Type": upload.media_type})
        return cls(
            id=upload.id,
            url=form.url,
            fields=form.fields,
            max_bytes=upload.max_bytes,
            expires_at=upload.expires_at,
        )
