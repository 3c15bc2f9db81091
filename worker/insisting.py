"""What a dependency that is away refuses is tried again; what can be left for later never fails an attempt."""

import logging
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import TypeVar

from core.domain.errors import AppError, Unavailable
from core.domain.ports import ObjectStore

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.5  # between two tries

Answer = TypeVar("Answer")


def insist(call: Callable[[], Answer], *, seconds: float, unless: Callable[[], bool] = lambda: False) -> Answer:
    """What the call returns once database and store answer.

    Args:
        call: may be repeated, also after a try that succeeded without saying so.
        seconds: how long it is repeated; as long as the attempt may hope to hold its lease.
        unless: true when nothing depends on it any more.

    Raises:
        Unavailable: they did not answer for so long.
    """
    give_up_at = monotonic() + seconds
    while True:
        try:
            return call()
        except Unavailable:
            if monotonic() >= give_up_at or unless():
                raise
            sleep(_PAUSE_SECONDS)


def discard(store: ObjectStore, keys: Iterable[str]) -> None:
    """Deletes objects that nobody needs; what the store keeps all the same goes when the ended job is tidied."""
    for key in keys:
        try:
            store.delete(key)
        except AppError:
            _log.warning("The object %s is deleted later.", key, exc_info=True)
