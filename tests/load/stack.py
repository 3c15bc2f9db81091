"""The whole service as an operator runs it: PostgreSQL, Redis, S3, and an API and a worker as processes."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Final, final

from core.settings import Settings
from core.usecases.keys import make_key
from core.wiring import build_database, migrate
from stylediffusion.children import Child
from stylediffusion.client import Client
from stylediffusion.listening import listen
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3, Bucket
from tests.stack.processes import is_ready, wait_until

TENANT: Final = "platform"
CORES: Final = 2

_HOST: Final = "127.0.0.1"
_DRAIN_SECONDS: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Stack:
    """A running service: where it answers, a key of the tenant, and where its database is."""

    url: str
    key: str
    database_url: str

    def client(self) -> Client:
        """A caller of the tenant."""
        return Client(self.url, self.key)


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """PostgreSQL, Redis and S3 of the caller's own, as settings."""
    with Postgres() as postgres, Redis() as redis, S3() as s3:
        yield environment(postgres.create_database("load"), redis.url, s3.create_bucket("load"))


def environment(database_url: str, redis_url: str, bucket: Bucket) -> dict[str, str]:
    """The settings of a service on these servers."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "S3_BUCKET": bucket.name,
        "S3_ENDPOINT_URL": bucket.endpoint,
        "S3_REGION": bucket.region,
        "S3_ACCESS_KEY_ID": bucket.access_key,
        "S3_SECRET_ACCESS_KEY": bucket.secret_key,
    }


@contextmanager
def running(given: Mapping[str, str], *, slots: int = 0) -> Iterator[Stack]:
    """The API, a process for each core, and with slots a worker, ready until the block ends."""
    settings = Settings.model_validate({name.lower(): value for name, value in given.items()})
    migrate(settings)
    with closing(build_database(settings)) as database:
        _, key = make_key(database, TENANT, name="load")
    outside = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    both = {**outside, "LOG_LEVEL": "warning", **given, "SLOTS": str(slots or 1)}
    with ExitStack() as stack:
        listener = stack.enter_context(closing(listen(_HOST, 0)))
        descriptor = listener.fileno()
        for arguments in (*[("api", f"--fd={descriptor}")] * CORES, *([("worker",)] if slots else [])):
            child = Child(*arguments, environment=both, descriptors=[descriptor])
            stack.callback(child.wait, _DRAIN_SECONDS)
            stack.callback(child.terminate)
        url = f"http://{_HOST}:{listener.getsockname()[1]}"
        path, what = ("/readyz", "a worker is ready") if slots else ("/livez", "the API answers")
        wait_until(lambda: is_ready(url, path), what)
        yield Stack(url, key, settings.database)
