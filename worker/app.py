"""The worker process: a loaded model, slots that run jobs, Celery that rings for them, a heartbeat and a sweeper."""

import logging
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from time import sleep
from typing import final

from celery import Celery
from celery.signals import worker_shutting_down
from celery.utils.dispatch import Signal

from core.domain.errors import Unavailable
from core.domain.ids import IdPrefix, new_id
from core.domain.job import JobKind
from core.domain.ports import Database, ObjectStore, WakeUps
from core.domain.studio import Studio
from core.queue.app import TASK, make_app
from core.settings import Settings
from core.usecases.queue import forget_worker, report_worker
from core.usecases.sweep import sweep, void_leases
from core.usecases.tending import tend_batches
from core.wiring import build_database, build_model, build_publishing, build_store, build_wakeups
from worker.embedded import only_worker
from worker.heartbeat import Heartbeat
from worker.periodic import Periodic
from worker.slots import Slots
from worker.tools import Limits, Seats, Tools

_log = logging.getLogger(__name__)
_REPORTS_PER_LEASE = 4  # all but one may be lost
_HELD_SECONDS = 1.0  # of a wake-up that comes to a busy worker: the next one finds another worker meanwhile
_PAUSE_SECONDS = 1.0  # before Celery begins anew
_PREVIEW_SECONDS = 3.0  # a picture costs a pass of the decoder, and nobody looks more often


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside this process."""

    database: Database
    store: ObjectStore
    wakeups: WakeUps
    app: Celery


def build_ports(settings: Settings) -> Ports:
    """The ports that the settings name.

    Raises:
        Unavailable: the database does not answer, or its tables are not up to date.
    """
    app, database = make_app(settings), build_database(settings)
    return Ports(database=database, store=build_store(settings), wakeups=build_wakeups(app, database), app=app)


def run(
    settings: Settings,
    load: Callable[[Settings], Studio],
    *,
    build: Callable[[Settings], Ports] = build_ports,
) -> int:
    """Runs a worker until a signal ends it; the exit status.

    Args:
        settings: where database, objects and messages are.
        load: loads and warms the model; nothing is claimed before it returns.
        build: makes the ports; left out, from the settings alone.

    Raises:
        Unavailable: something needed is missing, in one sentence.
    """
    # Until Celery has its own way of ending; an attempt that runs by then is handed on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ports = build(settings)
    database = ports.database
    with ExitStack() as stack:
        stack.callback(database.close)
        if settings.embedded:
            stack.enter_context(only_worker(settings.data_dir))
            void_leases(database)
        tools = _tools(settings, ports, studio=load(settings))
        for chore in _chores(settings, tools):
            stack.enter_context(chore)
        slots = stack.enter_context(Slots(tools, count=settings.slots, seconds=settings.heartbeat_seconds))
        stack.enter_context(_presence(settings, tools))
        status = _listen(ports.app, tools, slots)
    if slots.abandoned:
        _log.warning("%d jobs were handed on before they came to a timestep.", slots.abandoned)
        logging.shutdown()
        os._exit(status)  # their threads would be waited for, or end in the middle of a kernel
    return status


def _chores(settings: Settings, tools: Tools) -> Iterator[Periodic]:
    database, wakeups = tools.database, tools.wakeups
    often, seldom = settings.heartbeat_seconds, settings.sweep_seconds
    yield Periodic("heartbeat", tools.heartbeat.tick, seconds=often)
    yield Periodic("sweeper", lambda: sweep(database, tools.store, wakeups), seconds=seldom)
    yield Periodic("batches", lambda: tend_batches(database, wakeups, tools.model), seconds=seldom)


@contextmanager
def _presence(settings: Settings, tools: Tools) -> Iterator[None]:
    """Others know that this worker is ready, until it leaves or is silent for a lease."""
    worker_id = new_id(IdPrefix.WORKER)

    def report() -> None:
        report_worker(
            tools.database, worker_id, model=tools.model, slots=settings.slots, lease_seconds=settings.lease_seconds
        )

    try:
        with Periodic("presence", report, seconds=settings.lease_seconds / _REPORTS_PER_LEASE):
            yield
    finally:
        with suppress(Unavailable):
            forget_worker(tools.database, worker_id)


def _tools(settings: Settings, ports: Ports, *, studio: Studio) -> Tools:
    publishing = build_publishing(settings)
    return Tools(
        publishing=publishing,
        database=ports.database,
        store=ports.store,
        wakeups=ports.wakeups,
        studio=studio,
        model=build_model(settings),
        heartbeat=Heartbeat(ports.database, lease_seconds=settings.lease_seconds, stall_seconds=settings.stall_seconds),
        seats=Seats(settings.slots),
        limits=Limits(
            lease_seconds=settings.lease_seconds,
            checkpoint_seconds={
                JobKind.INVERSION: settings.checkpoint_seconds,
                JobKind.EDIT: settings.edit_checkpoint_seconds,
            },
            # What was not checked is not shown.
            preview_seconds=_PREVIEW_SECONDS if publishing.check is None else math.inf,
            patience_seconds=settings.lease_seconds,
            retention=timedelta(days=settings.retention_days),
        ),
    )


def _listen(app: Celery, tools: Tools, slots: Slots) -> int:
    """Rings for every wake-up until a signal comes; the exit status.

    Celery ends when its connection breaks at the wrong moment (an acknowledgement on a channel that is gone); the jobs
    are none of its business, and it begins anew.
    """

    def on_wake_up() -> None:
        if tools.heartbeat.stopping:
            tools.wakeups.send()  # for a worker that stays
        else:
            slots.ring(patience=_HELD_SECONDS)

    app.task(name=TASK)(on_wake_up)
    # Celery warns root because of pickle; these messages are JSON and carry nothing.
    warnings.filterwarnings("ignore", message=r"(?s).*superuser privileges")
    with _receiving(worker_shutting_down, tools.heartbeat.shut_down):
        while True:
            worker = app.Worker(
                pool_cls="threads",
                concurrency=1,
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
                loglevel="WARNING",
                quiet=True,
            )
            worker.start()
            if tools.heartbeat.stopping:
                return worker.exitcode or 0
            sleep(_PAUSE_SECONDS)


@contextmanager
def _receiving(signal: Signal, call: Callable[[], object]) -> Iterator[None]:
    def receive(**_: object) -> None:
        call()

    signal.connect(receive, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receive)
