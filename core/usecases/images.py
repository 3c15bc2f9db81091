"""Images come in: decoded, re-encoded and kept once per tenant."""

import hashlib
from datetime import timedelta

from core.domain.errors import ErrorCode, InputError, NotFound, Unavailable
from core.domain.ids import IdPrefix, new_id
from core.domain.job import StoredImage
from core.domain.ports import Database, ObjectStore
from core.domain.tenants import Tenant
from core.domain.uploads import Upload
from core.domain.web import Web
from core.images import MAX_BYTES, read_image, to_png

_HELD = timedelta(hours=1)  # far longer than a request takes


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
    # The object first: a row never points to nothing. What comes of no row is deleted like an upload nobody used.
    held = _hold(database, tenant, key)
    store.put(key, to_png(picture), media_type="image/png")
    with database.begin() as uow:
        image = StoredImage(
            id=image_id, tenant=tenant, sha256=sha256, width=width, height=height, key=key, created_at=held.created_at
        )
        kept = uow.images.add(image)
        if kept.id == image_id and not uow.uploads.drop(held.id):
            raise Unavailable("Keeping the image took too long; send it again.")
        uow.commit()
    return kept


def fetch_image(database: Database, store: ObjectStore, web: Web, *, tenant: Tenant, url: str) -> StoredImage:
    """Keeps an image that a caller names by URL; it is fetched now, once.

    Raises:
        InputError: URL_BLOCKED when the tenant may not name URLs or this one may not be fetched; see `submit_image`.
        FetchFailed: it cannot be fetched.
    """
    check_image_url(web, tenant, url)
    return submit_image(database, store, tenant.name, data=web.get(url, max_bytes=MAX_BYTES))


def check_image_url(web: Web, tenant: Tenant, url: str) -> None:
    """Whether a tenant may name this URL, as far as can be known without asking anybody.

    Raises:
        InputError: URL_BLOCKED.
    """
    if not tenant.fetch_urls:
        detail = "Images named by URL are not allowed for this tenant; send the image, or ask the operator."
        raise InputError(ErrorCode.URL_BLOCKED, detail)
    web.check(url)


def _hold(database: Database, tenant: str, key: str) -> Upload:
    """Notes that an object is about to be put, and goes again in an hour unless this is dropped."""
    with database.begin() as uow:
        now = uow.now()
        upload = Upload(
            id=new_id(IdPrefix.UPLOAD),
            tenant=tenant,
            key=key,
            media_type="image/png",
            max_bytes=MAX_BYTES,
            created_at=now,
            expires_at=now + _HELD,
        )
        uow.uploads.add(upload)
        uow.commit()
    return upload


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
