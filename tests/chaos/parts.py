"""What the processes of the chaos suite run: the product's own API and worker, with a few ports exchanged."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import final

from core.domain.ports import Database, UnitOfWork, WakeUps
from core.logs import configure_logs
from core.settings import Settings
from service import app as service_app
from service.dependencies import Ports
from service.server import make_server
from tests.chaos.defects import AlteredDatabase, Defect, LateDatabase, LateStore, break_database
from tests.chaos.setting import Setting, ready_mark
from tests.chaos.studio import MixedStudio
from worker import app as worker_app
from worker.loading import load_studio

_TIMES = 3  # that every wake-up is delivered


def run_api(setting: Setting, log: Path) -> None:
    """An API replica; returns when a signal ends it."""
    settings = _begin(setting, log)

    def build(settings: Settings) -> Ports:
        ports = service_app.build_ports(settings)
        return replace(ports, database=_of_api(ports.database, setting), wakeups=_Repeated(ports.wakeups))

    with socket.create_server(("127.0.0.1", setting.port), backlog=1024) as listener:
        make_server(settings, build=build).run(sockets=[listener])


def run_worker(setting: Setting, log: Path) -> None:
    """A worker; returns when a signal ends it."""
    settings = _begin(setting, log)

    def load(settings: Settings) -> MixedStudio:
        # Until its job has been given to another, and a little longer.
        stall_seconds = settings.stall_seconds + 1.5 * settings.lease_seconds
        studio = MixedStudio(load_studio(settings), setting.folder, stall_seconds=stall_seconds)
        ready_mark(setting, os.getpid()).touch()
        return studio

    def build(settings: Settings) -> worker_app.Ports:
        ports = worker_app.build_ports(settings)
        return replace(
            ports,
            database=break_database(ports.database, setting.defect),
            store=LateStore(ports.store) if setting.defect is Defect.ROW_FIRST else ports.store,
            wakeups=_Repeated(ports.wakeups),
        )

    sys.exit(worker_app.run(settings, load, build=build))


@final
class _Repeated:
    """Implements `WakeUps`: sends each several times."""

    def __init__(self, wakeups: WakeUps) -> None:
        self._wakeups = wakeups
        self.ping = wakeups.ping

    def send(self, count: int = 1) -> None:
        self._wakeups.send(_TIMES * count)


def _of_api(database: Database, setting: Setting) -> Database:
    def trapped() -> bool:
        if not setting.trap.exists():
            return False
        setting.trap.unlink()
        return True

    if setting.defect is Defect.ANSWER_FIRST:
        return LateDatabase(database, ends=trapped)

    def commit(uow: UnitOfWork, added: bool) -> None:  # noqa: FBT001 - as `AlteredDatabase` calls it
        uow.commit()
        if added and trapped():
            os.kill(os.getpid(), signal.SIGKILL)

    return AlteredDatabase(break_database(database, setting.defect), commit=commit)


def _begin(setting: Setting, log: Path) -> Settings:
    Thread(target=_end_with_parent, name="parent", daemon=True).start()
    with log.open("ab") as written:
        os.dup2(written.fileno(), sys.stdout.fileno())
        os.dup2(written.fileno(), sys.stderr.fileno())
    os.environ.update(setting.environment)
    os.environ["PGAPPNAME"] = str(os.getpid())  # by which the history tells who wrote
    configure_logs(level=logging.WARNING)
    return Settings()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
