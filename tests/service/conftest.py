"""The service on SQLite and a folder, or on PostgreSQL and S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient
from pydantic import SecretStr

from core.settings import Settings
from core.wiring import migrate
from service.app import build_ports, create_app
from tests.servers.s3 import Bucket
from tests.service.harness import Harness


def serve(settings: Settings) -> Iterator[Harness]:
    """The application from its start to its end."""
    migrate(settings)
    ports = build_ports(settings)
    with TestClient(create_app(settings, build=lambda _settings: ports)) as client:
        harness = Harness(client, ports)
        client.headers.update(harness.key("acme"))
        yield harness


@pytest.fixture(scope="session", autouse=True)
def _logs_to_pytest() -> Iterator[None]:
    """Logs go to the standard library, where pytest keeps those of a failed test."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The embedded service's."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def service(settings: Settings) -> Iterator[Harness]:
    """The embedded service."""
    yield from serve(settings)


@pytest.fixture
def distributed(settings: Settings, postgres_url: str, redis_url: str, s3: Bucket) -> Iterator[Harness]:
    """The service on PostgreSQL, Redis and S3."""
    yield from serve(
        settings.model_copy(
            update={
                "database_url": postgres_url,
                "redis_url": SecretStr(redis_url),
                "s3_bucket": s3.name,
                "s3_endpoint_url": s3.endpoint,
                "s3_region": s3.region,
                "s3_access_key_id": s3.access_key,
                "s3_secret_access_key": SecretStr(s3.secret_key),
            }
        )
    )


@pytest.fixture(params=["service", "distributed"])
def anywhere(request: pytest.FixtureRequest) -> Harness:
    """The service, once embedded and once distributed."""
    harness: Harness = request.getfixturevalue(request.param)
    return harness
