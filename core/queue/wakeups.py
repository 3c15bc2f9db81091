"""The sending end: wake-ups as Celery messages without content."""

import logging
from time import monotonic
from typing import Any, final

from celery import Celery
from kombu.exceptions import OperationalError

from core.domain.errors import Unavailable
from core.queue.app import QUEUE, TASK

# A message is a permit to look for work, not a job: more than there are slots anywhere would only be looked at in vain.
_MOST_WAITING = 64
_PAUSE_SECONDS = 5  # after a failure, so that requests do not each wait for a dead broker

_log = logging.getLogger(__name__)


@final
class CeleryWakeUps:
    """Implements `WakeUps`."""

    def __init__(self, app: Celery) -> None:
        self._app = app
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
                connection.ensure_connection(max_retries=1, timeout=2)
        except (OperationalError, OSError) as error:
            raise Unavailable("The message broker does not answer; jobs are accepted and start later.") from error

    def _send(self, count: int) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            free = _MOST_WAITING - _depth(producer.connection)
            for _ in range(min(count, free)):
                self._app.send_task(TASK, producer=producer, retry=False, ignore_result=True)


def _depth(connection: Any) -> int:
    count: int = connection.default_channel.queue_declare(queue=QUEUE).message_count
    return count
