"""Webhooks leave from a thread of their own, and each try from one more, so that a slow host delays nobody else."""

from collections import Counter
from threading import Event, Lock, Thread
from typing import Self, final

import structlog

from core.domain.errors import AppError
from core.domain.ports import Database
from core.domain.web import Web
from core.domain.webhooks import Delivery
from core.usecases.webhooks import claim_due, deliver

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger("service")
_AT_ONCE = 16
_OF_ONE_TENANT = 4  # so that one whose hosts hang leaves room for the others
_PAUSE_SECONDS = 1.0
_LAST_TRIES_SECONDS = 5.0  # what is not through by then is tried again by whoever is there


@final
class Deliveries:
    """Tries what is due while the block lasts; whatever a process leaves undone lies in the database for the next."""

    def __init__(self, database: Database, web: Web) -> None:
        self._database = database
        self._web = web
        self._under_way: Counter[str] = Counter()
        self._lock = Lock()
        self._stopped = Event()
        self._tries: set[Thread] = set()
        self._thread = Thread(target=self._run, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for thread in tuple(self._tries):
            thread.join(_LAST_TRIES_SECONDS)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                started = self._start_due()
            except Exception as error:  # noqa: BLE001 - deliveries would stop if this thread ended
                _LOG.warning("webhooks rest", error=str(error), exc_info=not isinstance(error, AppError))
                started = 0
            if not started:
                self._stopped.wait(_PAUSE_SECONDS)

    def _start_due(self) -> int:
        with self._lock:
            room = _AT_ONCE - self._under_way.total()
            busy = [tenant for tenant, count in self._under_way.items() if count >= _OF_ONE_TENANT]
        if not room:
            return 0
        due = claim_due(self._database, limit=room, per_tenant=_OF_ONE_TENANT, busy=busy)
        for delivery in due:
            with self._lock:
                self._under_way[delivery.tenant] += 1
            thread = Thread(target=self._try, args=(delivery,), name="webhook", daemon=True)
            self._tries.add(thread)
            thread.start()
        self._tries = {thread for thread in self._tries if thread.is_alive()}
        return len(due)

    def _try(self, delivery: Delivery) -> None:
        try:
            outcome = deliver(self._database, self._web, delivery)
            _LOG.info("webhook", id=delivery.id, tenant=delivery.tenant, state=outcome.state, error=outcome.error)
        except Exception as error:  # noqa: BLE001 - the database is away: its lease ends and it is tried again
            _LOG.warning("webhook not noted", id=delivery.id, error=str(error))
        finally:
            with self._lock:
                self._under_way[delivery.tenant] -= 1
