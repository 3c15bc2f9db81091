"""Fixtures that every test may ask for; a server starts when the first test asks for it."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from core.settings import Settings
from tests.servers.daemon import MissingServerError
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3, Bucket

# Before torch is imported: a pool of threads per test would only fight for the machine's cores.
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.stack.fixtures"]

Server = TypeVar("Server")


def _running(make: Callable[[], AbstractContextManager[Server]]) -> Iterator[Server]:
    try:
        server = make()
    except MissingServerError as missing:
        pytest.fail(str(missing), pytrace=False)
    with server as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The session's PostgreSQL; a test may kill it, for it is started again when the next one asks."""
    yield from _running(Postgres)


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The address of an empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.start()
    yield postgres_server.create_database(name)
    postgres_server.start()
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The session's Redis; a test may kill it, for it is started again when the next one asks."""
    yield from _running(Redis)


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The address of an empty Redis."""
    redis_server.start()
    redis_server.flush()
    return redis_server.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """The session's S3 server; a test may kill its gateway, for it is started again when the next one asks."""
    yield from _running(S3)


@pytest.fixture
def s3(s3_server: S3) -> Iterator[Bucket]:
    """An empty bucket of this test's own."""
    name = f"test-{uuid.uuid4().hex}"
    s3_server.start()
    yield s3_server.create_bucket(name)
    s3_server.start()
    s3_server.remove_bucket(name)
