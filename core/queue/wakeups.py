"""The sending end: wake-ups as Celery messages without content."""

import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, final

from celery import Celery
from kombu.exceptions import OperationalError

from core.domain.errors import Unavailable
from core.queue.app import QUEUE, TASK

# A message is a permit to look for work, not a job: one that finds every slot busy waits for the first to be free. Two
# for each slot, since some are looked at in vain.
_PER_SLOT = 2
_LEAST = 2  # for the first worker that comes; it calls for more
_COUNTED_SECONDS = 5  # a worker that comes or goes changes little until then
_PAUSE_SECONDS = 5  # after a failure, so that requests do not each wait for a dead broker

_log = logging.getLogger(__name__)


@final
class CeleryWakeUps:
    """Implements `WakeUps`: what waits on the broker is bounded by the slots that there are.

    Args:
        app: what carries them.
        count_slots: of all workers that are ready; asked now and then.
    """

    def __init__(self, app: Celery, *, count_slots: Callable[[], int]) -> None:
        self._app = app
        self._count_slots = count_slots
        self._most = _LEAST
        self._counted_until = 0.0
        self._silent_until = 0.0

    def send(self, count: int = 1) -> None:
        if monotonic() < self._silent_until:
            return
        try:
            self._send(count)
        except Exception:  # noqa: BLE001 - the job is committed: whatever the broker does, the sweeper repairs it
            self._silent_until = monotonic() + _PAUSE_SECONDS
            _log.warning("The broker takes no wake-ups; the sweeper sends them later.", exc_info=True)

    def waiting(self) -> int:
        """Wake-ups that no worker has taken yet."""
        with self._app.pool.acquire(block=True) as connection:
            return _depth(connection)

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0)
        except (OperationalError, OSError) as error:
            raise Unavailable("The message broker does not answer; jobs are accepted and start later.") from error

    def _send(self, count: int) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            waiting = _depth(producer.connection)
            if waiting + count > _LEAST:
                self._count_again()
            for _ in range(min(count, self._most - waiting)):
                self._app.send_task(TASK, producer=producer, retry=False, ignore_result=True)

    def _count_again(self) -> None:
        if monotonic() < self._counted_until:
            return
        self._counted_until = monotonic() + _COUNTED_SECONDS
        with suppress(Unavailable):  # then what was known is good enough
            self._most = max(_LEAST, _PER_SLOT * self._count_slots())


def _depth(connection: Any) -> int:
    # Once: left to itself kombu tries for six seconds, in which a request is not answered.
    connection.ensure_connection(max_retries=0)
    count: int = connection.default_channel.queue_declare(queue=QUEUE).message_count
    return count
