"""The repository of images."""

from dataclasses import asdict
from typing import Any, final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from core.domain.job import StoredImage
from core.storage.tables import images
from core.storage.transaction import Transaction

_OWN = select(images).where(images.c.tenant == bindparam("tenant"))
_BY_ID = _OWN.where(images.c.id == bindparam("image_id"))
_BY_SHA256 = _OWN.where(images.c.sha256 == bindparam("sha256"))


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
        return self._one(_BY_ID, tenant=tenant, image_id=image_id)

    def by_sha256(self, tenant: str, sha256: str) -> StoredImage | None:
        return self._one(_BY_SHA256, tenant=tenant, sha256=sha256)

    def _one(self, statement: Select[Any], **parameters: str) -> StoredImage | None:
        row = self._tx.one_with_clock(statement, parameters)
        return None if row is None else StoredImage(**{column.name: row[column.name] for column in images.c})
