"""A whole deployment as real processes on private ports: servers, API replicas and workers."""

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from pkgutil import resolve_name
from typing import Self, final

from core.domain.ports import ObjectStore
from core.settings import Settings
from core.storage.database import SqlDatabase
from core.wiring import build_store, migrate
from tests.chaos.defects import Defect
from tests.chaos.history import keep_history
from tests.chaos.proxy import FaultProxy
from tests.chaos.setting import Setting, ready_mark
from tests.servers.daemon import free_port
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3, Bucket

_PARTS = "tests.chaos.parts"
_RESTART_SECONDS = 0.5  # until whoever minds the processes has noticed that one is gone


@final
@dataclass(frozen=True, slots=True)
class Pace:
    """The deployment's timings in seconds, and how many lost attempts it allows."""

    lease: float = 6.0
    heartbeat: float = 0.6
    sweep: float = 1.5
    stall: float = 8.0
    attempts: int = 6

    def environment(self) -> dict[str, str]:
        """As settings."""
        named = {"LEASE": self.lease, "HEARTBEAT": self.heartbeat, "SWEEP": self.sweep, "STALL": self.stall}
        seconds = {f"{name}_SECONDS": str(value) for name, value in named.items()}
        # Every timestep of every job is kept, so that P4 is one timestep for all.
        return {**seconds, "EDIT_CHECKPOINT_SECONDS": "0", "MAX_ATTEMPTS": str(self.attempts)}


SHORT_PACE = Pace()
DEFAULT_PACE = Pace(lease=60.0, heartbeat=2.0, sweep=15.0, stall=120.0)


@final
@dataclass(frozen=True, slots=True)
class Servers:
    """What a distributed deployment stands on."""

    postgres: Postgres
    redis: Redis
    s3: S3
    database_url: str
    bucket: Bucket


@final
class Part:
    """An API replica or a worker: a process that is started again whenever it has ended."""

    def __init__(self, context: ForkServerContext, run: str, setting: Setting) -> None:
        self._context = context
        self._run = run
        self.setting = setting
        self._ended_at: float | None = None
        self._start()

    @property
    def pid(self) -> int | None:
        """Of the process that runs now, or has run last."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs, or stands still where it was stopped."""
        return self._process.is_alive()

    @property
    def ready(self) -> bool:
        """Whether a worker has loaded its model since its last start."""
        return self.alive and ready_mark(self.setting, self._process.pid).exists()

    def mind(self) -> None:
        """Starts it again, some time after its end."""
        if self.alive:
            return
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() >= self._ended_at + _RESTART_SECONDS:
            self._start()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.alive and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def drain(self) -> None:
        """SIGTERM; from now on nobody counts on it."""
        ready_mark(self.setting, self._process.pid).unlink()
        self.signal(signal.SIGTERM)

    def end(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._ended_at = None
        log = self.setting.folder / f"{self._run}-{id(self)}.log"
        self._process: ForkServerProcess = self._context.Process(target=_call, args=(self._run, self.setting, log))
        self._process.start()


@final
class Stack:
    """The parts of one deployment; `with` starts and ends them.

    The parts are forked from a process that has imported everything, so that a new worker is ready in a second.
    """

    def __init__(self, servers: Servers | None, folder: Path, *, pace: Pace, defect: Defect, seed: int) -> None:
        self.servers = servers
        self.pace = pace
        self.folder = folder
        self._defect = defect
        self.proxy = None if servers is None else FaultProxy(_port(servers.bucket.endpoint), seed=seed)
        self.settings = _settings(_outside(servers, folder) | pace.environment())
        self.apis: list[Part] = []
        self.workers: list[Part] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self.proxy is not None:
                stack.enter_context(self.proxy)
            migrate(self.settings)
            self.database = SqlDatabase(self.settings.database)
            stack.callback(self.database.close)
            keep_history(self.database.engine)
            stack.callback(self._end)
            self._start(apis=1 if self.servers is None else 2, workers=1 if self.servers is None else 4)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def urls(self) -> list[str]:
        """Of the API replicas."""
        return [f"http://127.0.0.1:{part.setting.port}" for part in self.apis]

    @property
    def store(self) -> ObjectStore:
        """The object store itself, without the proxy before it."""
        return build_store(self.settings)

    def mind(self) -> None:
        """Starts again what has ended."""
        for part in (*self.apis, *self.workers):
            part.mind()

    def _start(self, *, apis: int, workers: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PARTS])
        environment = {**_outside(self.servers, self.folder), **self.pace.environment(), **_SAME}
        if self.proxy is not None:
            environment["S3_ENDPOINT_URL"] = f"http://127.0.0.1:{self.proxy.port}"
        self.workers = [Part(context, "run_worker", self._setting(environment, "worker")) for _ in range(workers)]
        self.apis = [Part(context, "run_api", self._setting(environment, f"api-{n}", free_port())) for n in range(apis)]

    def _setting(self, environment: Mapping[str, str], name: str, port: int = 0) -> Setting:
        trap = self.folder / f"{name}.trap"
        return Setting(environment=environment, folder=self.folder, trap=trap, port=port, defect=self._defect)

    def _end(self) -> None:
        for part in (*self.apis, *self.workers):
            part.end()


def _call(name: str, setting: Setting, log: Path) -> None:
    # By name: the process that starts the parts has no use for all that they import.
    resolve_name(f"{_PARTS}:{name}")(setting, log)


# Webhooks go to this machine; two workers, as many as are spared, have slots for all that is sent at once.
_SAME = {
    "OUTBOUND_HTTP": "true",
    "OUTBOUND_NETWORKS": "127.0.0.0/8",
    "OUTBOUND_SECONDS": "5",
    "SLOTS": "8",
    "REQUESTS_PER_MINUTE": "60000",
    "OMP_NUM_THREADS": "1",
}


def _outside(servers: Servers | None, folder: Path) -> dict[str, str]:
    if servers is None:
        return {"DATA_DIR": str(folder / "data")}
    bucket = servers.bucket
    return {
        "DATA_DIR": str(folder / "data"),
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis.url,
        "S3_BUCKET": bucket.name,
        "S3_ENDPOINT_URL": bucket.endpoint,
        "S3_ACCESS_KEY_ID": bucket.access_key,
        "S3_SECRET_ACCESS_KEY": bucket.secret_key,
    }


def _settings(environment: Mapping[str, str]) -> Settings:
    return Settings.model_validate({name.lower(): value for name, value in environment.items()})


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
