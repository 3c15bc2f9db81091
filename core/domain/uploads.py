"""Files that callers send to the object store by themselves, with a form that allows one object and no other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Leave to send one object of one type and at most one size; what was sent lives as long as the row."""

    id: str
    tenant: str
    key: str  # in the object store
    media_type: str
    max_bytes: int
    created_at: datetime
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PostForm:
    """Where to send a file, and the form fields that come before it."""

    url: str
    fields: dict[str, str]


class UploadRepository(Protocol):
    """Uploads that were allowed, and objects that are to go unless a row comes to name them."""

    def add(self, upload: Upload) -> None: ...
    def get(self, tenant: str, upload_id: str) -> Upload | None: ...
    def drop(self, upload_id: str) -> bool:
        """Its object stays; False: its time is over, and the object may be gone."""
        ...

    def expired(self, *, limit: int) -> Mapping[str, str]:
        """The object keys of those past their time, by id."""
        ...

    def forget(self, upload_ids: Collection[str]) -> None: ...
