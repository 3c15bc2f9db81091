"""The repository of images."""

from dataclasses import asdict
from typing import final

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.dialects import postgresql, sqlite

from core.domain.job import StoredImage
from core.storage.tables import images
from core.storage.transaction import Transaction


@final
class SqlImages:
    """Implements `ImageRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(self, image: StoredImage) -> StoredImage:
        dialect = postgresql if self._tx.postgres else sqlite
        added = dialect.insert(images).values(**asdict(image)).on_conflict_do_nothing().returning(images.c.id)
        if self._tx.connection.execute(added).one_or_none() is not None:
            return image
        kept = self.by_sha256(image.tenant, image.sha256)
        return image if kept is None else kept

    def get(self, tenant: str, image_id: str) -> StoredImage | None:
        return self._one(and_(images.c.tenant == tenant, images.c.id == image_id))

    def by_sha256(self, tenant: str, sha256: str) -> StoredImage | None:
        return self._one(and_(images.c.tenant == tenant, images.c.sha256 == sha256))

    def _one(self, which: ColumnElement[bool]) -> StoredImage | None:
        row = self._tx.one_with_clock(select(images).where(which))
        return None if row is None else StoredImage(**{column.name: row[column.name] for column in images.c})
