"""The service on SQLite and a folder, or on PostgreSQL and S3."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import structlog
from fastapi.testclient import TestClient
from pydantic import SecretStr

from core.settings import Settings
from core.wiring import migrate
from service.app import build_ports, create_app
from service.server import make_server
from tests.servers.s3 import Bucket
from tests.service.harness import Harness
from tests.stack.processes import WorkerProcess, is_ready, wait_until


def serve(settings: Settings) -> Iterator[Harness]:
    """The application from its start to its end."""
    migrate(settings)
    ports = build_ports(settings)
    with TestClient(create_app(settings, build=lambda _settings: ports)) as client:
        harness = Harness(client, ports)
        client.headers.update(harness.key("acme"))
        yield harness


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """The address of a server on real HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server(settings)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """The address and the settings of a whole service: over HTTP, with a worker process that computes digests.

    It may call the machine's own addresses without TLS.
    """
    folder = tmp_path_factory.mktemp("deployment")
    settings = Settings(data_dir=folder, outbound_http=True, outbound_networks="127.0.0.2/32", sweep_seconds=0.5)
    migrate(settings)
    worker = WorkerProcess(folder / "journal", {"DATA_DIR": str(folder)}, timestep_seconds=0.05)
    with listening(settings) as address, worker:
        wait_until(lambda: is_ready(address), "a worker is ready")
        yield address, settings


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
