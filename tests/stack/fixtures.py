"""Fixtures of the job path: each database and each object store that a deployment may have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domain.catalogue import Model, read_model
from core.domain.ports import ObjectStore
from core.pocket.weights import model_path
from core.storage.database import SqlDatabase
from core.storage.migrate import upgrade
from core.storage.objects_folder import FolderStore
from core.storage.objects_s3 import S3Store
from tests.servers.s3 import Bucket
from tests.stack.fakes import CountingWakeUps
from tests.stack.submitting import Caller


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, once on SQLite and once on Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'stylediffusion.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database_url(empty_database_url: str) -> str:
    """The address of a database with all tables."""
    upgrade(empty_database_url)
    return empty_database_url


@pytest.fixture
def database(database_url: str) -> Iterator[SqlDatabase]:
    """An empty database with all tables, once on SQLite and once on Postgres."""
    database = SqlDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    """An empty folder as object store."""
    return FolderStore(tmp_path / "objects")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """An empty object store, once a folder and once a bucket."""
    if request.param == "folder":
        folder: FolderStore = request.getfixturevalue("folder_store")
        return folder
    bucket: Bucket = request.getfixturevalue("s3")
    return S3Store(
        bucket.name,
        endpoint_url=bucket.endpoint,
        region=bucket.region,
        access_key_id=bucket.access_key,
        secret=bucket.secret_key,
    )


@pytest.fixture
def wakeups() -> CountingWakeUps:
    """Counts the wake-ups sent."""
    return CountingWakeUps()


@pytest.fixture(scope="session")
def model() -> Model:
    """The packaged model, described without its weights."""
    return read_model(model_path(), name="pocket")


@pytest.fixture
def caller(database: SqlDatabase, folder_store: FolderStore, wakeups: CountingWakeUps, model: Model) -> Caller:
    """A caller of the use cases on each database, with a folder as object store."""
    return Caller(database, folder_store, wakeups=wakeups, model=model)
