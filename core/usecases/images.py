"""Images come in: decoded, re-encoded and kept once per tenant."""

import hashlib

from core.domain.errors import NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.job import StoredImage
from core.domain.ports import Database, ObjectStore
from core.images import read_image, to_png


def submit_image(database: Database, store: ObjectStore, tenant: str, *, data: bytes) -> StoredImage:
    """Keeps a caller's image; the same bytes of the same tenant give the same id.

    Raises:
        InputError: IMAGE_UNREADABLE or IMAGE_TOO_LARGE.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    with database.read() as uow:
        known = uow.images.by_sha256(tenant, sha256)
    if known is not None:
        return known
    picture = read_image(data)
    height, width = picture.shape[:2]
    image_id = new_id(IdPrefix.IMAGE)
    key = f"{tenant}/images/{image_id}.png"
    # The object first: a row never points to nothing; an object without a row is collected by age.
    store.put(key, to_png(picture), media_type="image/png")
    with database.begin() as uow:
        image = StoredImage(
            id=image_id, tenant=tenant, sha256=sha256, width=width, height=height, key=key, created_at=uow.now()
        )
        kept = uow.images.add(image)
        uow.commit()
    if kept.id != image_id:
        store.delete(key)
    return kept


def get_image(database: Database, tenant: str, image_id: str) -> StoredImage:
    """One image of this tenant.

    Raises:
        NotFound: there is none with this id.
    """
    with database.read() as uow:
        image = uow.images.get(tenant, image_id)
    if image is None:
        raise NotFound(f"There is no image {image_id}.")
    return image
