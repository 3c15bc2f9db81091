"""The one place that turns settings into ports; API, worker and command line start here."""

from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from celery import Celery
from huggingface_hub import snapshot_download

from core.domain.catalogue import Model, read_model
from core.domain.errors import Unavailable
from core.domain.ports import Database, ObjectStore
from core.domain.publishing import Publishing
from core.domain.web import Web
from core.outbound.web import GuardedWeb, Policy
from core.pocket.weights import model_path
from core.queue.wakeups import CeleryWakeUps
from core.settings import Settings
from core.storage.database import SqlDatabase
from core.storage.migrate import require_current, upgrade
from core.storage.objects_folder import FolderStore
from core.storage.objects_s3 import S3Store
from core.usecases.queue import count_slots

_LEAST_REST_SECONDS = 1.0  # a busy machine makes a transaction rest too
_DESCRIPTION = ["*.json", "tokenizer/*"]
# One precision, and never a pickle.
_WEIGHTS = ["unet/*model.safetensors", "vae/*model.safetensors", "*encoder/model.safetensors", "model.safetensors"]


def migrate(settings: Settings) -> None:
    """Makes the data folder where the service is embedded, and brings the tables up to date."""
    if settings.embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database)


def build_database(settings: Settings) -> Database:
    """The database, its tables up to date.

    Raises:
        Unavailable: it does not answer, or `migrate` has to run first.
    """
    require_current(settings.database)
    return SqlDatabase(settings.database, rest_seconds=max(_LEAST_REST_SECONDS, settings.lease_seconds / 6))


def build_store(settings: Settings) -> ObjectStore:
    """A bucket where one is named, else a folder."""
    if settings.s3_bucket is None:
        return FolderStore(settings.data_dir / "objects")
    secret = settings.s3_secret_access_key
    return S3Store(
        settings.s3_bucket,
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret=None if secret is None else secret.get_secret_value(),
    )


def build_wakeups(app: Celery, database: Database) -> CeleryWakeUps:
    """The sending end of the broker; the database knows how many slots there are."""
    return CeleryWakeUps(app, count_slots=partial(count_slots, database))


def build_web(settings: Settings) -> Web:
    """What fetches and calls the URLs of callers."""
    return GuardedWeb(
        Policy(seconds=settings.outbound_seconds, http=settings.outbound_http, networks=settings.opened_networks)
    )


def build_publishing(settings: Settings) -> Publishing:
    """What edits pass on their way out.

    Raises:
        Unavailable: a name that leads to nothing that can be called.
    """
    return Publishing(
        check=_named(settings.content_check, setting="CONTENT_CHECK"),
        mark=_named(settings.provenance_mark, setting="PROVENANCE_MARK"),
    )


def _named(name: str | None, *, setting: str) -> Any:
    if name is None:
        return None
    try:
        found = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Unavailable(f"{setting}={name} cannot be imported: {error}.") from error
    if not callable(found):
        raise Unavailable(f"{setting}={name} cannot be called.")
    return found


def build_model(settings: Settings) -> Model:
    """The model this deployment runs, as far as it can be known without its weights."""
    return read_model(locate_model(settings.model), name=settings.model)


def locate_model(name: str, *, weights: bool = False, setting: str = "MODEL") -> Path:
    """The folder of a model: the packaged one, a folder by its path, or a snapshot of the hub.

    The web process describes a model that only workers load, so a snapshot is without `weights` unless asked for.
    `setting` is where the name comes from.

    Raises:
        Unavailable: there is no such folder, and the hub does not answer or has no such model.
    """
    if name == "pocket":
        return model_path()
    if Path(name).is_dir():
        return Path(name).resolve()
    try:
        return Path(snapshot_download(name, allow_patterns=_DESCRIPTION + (_WEIGHTS if weights else [])))
    except (OSError, ValueError) as error:
        raise Unavailable(f"{setting}={name} is no folder, and the hub gives no model of this name.") from error
