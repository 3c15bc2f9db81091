"""The repository of uploads."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import final

from sqlalchemy import delete, insert, select

from core.domain.uploads import Upload
from core.storage.tenant_tables import uploads
from core.storage.transaction import Transaction


@final
class SqlUploads:
    """Implements `UploadRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(self, upload: Upload) -> None:
        self._tx.connection.execute(insert(uploads).values(**asdict(upload)))

    def get(self, tenant: str, upload_id: str) -> Upload | None:
        mine = select(uploads).where(uploads.c.tenant == tenant, uploads.c.id == upload_id)
        row = self._tx.connection.execute(mine.where(uploads.c.expires_at > self._tx.clock)).mappings().one_or_none()
        return None if row is None else Upload(**row)

    def drop(self, upload_id: str) -> bool:
        mine = delete(uploads).where(uploads.c.id == upload_id, uploads.c.expires_at > self._tx.clock)
        return self._tx.connection.execute(mine).rowcount == 1

    def expired(self, *, limit: int) -> Mapping[str, str]:
        old = select(uploads.c.id, uploads.c.key).where(uploads.c.expires_at <= self._tx.clock).limit(limit)
        return {row.id: row.key for row in self._tx.connection.execute(old)}

    def forget(self, upload_ids: Collection[str]) -> None:
        self._tx.connection.execute(delete(uploads).where(uploads.c.id.in_(upload_ids)))
