"""A thread that does one thing again and again until it is told to stop."""

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Self, final

_log = logging.getLogger(__name__)


@final
class Periodic:
    """Calls a function at once and then every `seconds`; a failure is logged and the next turn comes as usual."""

    def __init__(self, name: str, call: Callable[[], object], *, seconds: float) -> None:
        self._call = call
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._call()
            except Exception:  # noqa: BLE001 - whatever went wrong, the next turn may succeed
                _log.warning("%s failed and is tried again.", self._thread.name, exc_info=True)
            self._stopped.wait(self._seconds)
