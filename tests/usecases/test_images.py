"""Images come in once per tenant."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import final

import PIL.Image
import pytest
from sqlalchemy import select, update

from core.domain.errors import ErrorCode, InputError, NotFound, Unavailable
from core.domain.ports import Database, ObjectStore, UnitOfWork
from core.storage.database import SqlDatabase
from core.storage.tenant_tables import uploads
from core.usecases.images import get_image, submit_image
from core.usecases.sweep import clear_uploads
from tests.stack.submitting import png


def test_an_image_is_kept_as_a_png_of_its_own(database: Database, folder_store: ObjectStore) -> None:
    image = submit_image(database, folder_store, "acme", data=png())

    kept = PIL.Image.open(BytesIO(folder_store.get(image.key)))
    assert (kept.format, kept.size, (image.width, image.height)) == ("PNG", (32, 32), (32, 32))
    assert get_image(database, "acme", image.id) == image


def test_the_same_bytes_give_the_same_id(database: Database, folder_store: ObjectStore) -> None:
    first = submit_image(database, folder_store, "acme", data=png())

    assert submit_image(database, folder_store, "acme", data=png()) == first
    assert len(list(folder_store.list("acme/images/"))) == 1


def test_tenants_share_no_image(database: Database, folder_store: ObjectStore) -> None:
    first = submit_image(database, folder_store, "acme", data=png())
    second = submit_image(database, folder_store, "other", data=png())

    assert first.id != second.id
    assert first.key != second.key
    with pytest.raises(NotFound):
        get_image(database, "acme", second.id)


def test_what_is_no_image_leaves_nothing_behind(database: Database, folder_store: ObjectStore) -> None:
    with pytest.raises(InputError) as refused:
        submit_image(database, folder_store, "acme", data=b"not an image")

    assert refused.value.code == ErrorCode.IMAGE_UNREADABLE
    assert list(folder_store.list("")) == []


def test_an_image_without_a_row_goes_in_an_hour(database: SqlDatabase, folder_store: ObjectStore) -> None:
    with pytest.raises(Unavailable):
        submit_image(LosingDatabase(database), folder_store, "acme", data=png())
    orphans = list(folder_store.list("acme/images/"))
    before = clear_uploads(database, folder_store)
    _let_pass(database, timedelta(hours=1))

    assert len(orphans) == 1
    assert (before, clear_uploads(database, folder_store)) == (0, 1)
    assert list(folder_store.list("acme/images/")) == []


def test_a_kept_image_stays(database: SqlDatabase, folder_store: ObjectStore) -> None:
    image = submit_image(database, folder_store, "acme", data=png())
    _let_pass(database, timedelta(hours=1))

    assert clear_uploads(database, folder_store) == 0
    assert folder_store.get(image.key)


@final
class LosingDatabase:
    """A database that goes away before an image's row is committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begun = 0
        self.read, self.ping, self.close = database.read, database.ping, database.close

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        self._begun += 1
        if self._begun > 1:
            raise Unavailable("The database does not answer.")
        with self._database.begin() as uow:
            yield uow


def _let_pass(database: SqlDatabase, time: timedelta) -> None:
    with database.engine.begin() as connection:
        for upload_id, expires_at in connection.execute(select(uploads.c.id, uploads.c.expires_at)).all():
            connection.execute(update(uploads).where(uploads.c.id == upload_id).values(expires_at=expires_at - time))
