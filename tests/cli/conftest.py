"""The command line as a process, and a running API with a stand-in for the worker."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest
import uvicorn

from core.settings import Settings
from core.usecases.keys import make_key
from core.wiring import migrate
from service.app import build_ports, create_app
from service.dependencies import Ports
from stylediffusion.client import Client
from stylediffusion.listening import listen


def run_command(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command from its start to its end; it inherits nothing but what the interpreter needs."""
    return subprocess.run(
        [sys.executable, "-m", "stylediffusion", *arguments],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@final
@dataclass(frozen=True, slots=True)
class Api:
    """A service on a port of its own, in this process."""

    url: str
    key: str
    ports: Ports
    folder: Path


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The embedded service's API; no worker runs."""
    settings = Settings(data_dir=tmp_path)
    migrate(settings)
    ports = build_ports(settings)
    _, key = make_key(ports.database, "acme", name="test")
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, build=lambda _: ports), log_config=None, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Api(f"http://127.0.0.1:{listener.getsockname()[1]}", key, ports, tmp_path)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    """A caller of it."""
    with Client(api.url, api.key) as client:
        yield client
