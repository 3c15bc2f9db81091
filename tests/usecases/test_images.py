"""Images come in once per tenant."""

from io import BytesIO

import PIL.Image
import pytest

from core.domain.errors import ErrorCode, InputError, NotFound
from core.domain.ports import Database, ObjectStore
from core.usecases.images import get_image, submit_image
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
