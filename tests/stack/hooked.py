"""An object store that may refuse."""

from collections.abc import Callable
from typing import final

from core.domain.errors import Unavailable
from core.domain.ports import ObjectStore


def refuse(_: str) -> None:
    """What a store that is away answers."""
    raise Unavailable("The object store does not answer.")


@final
class HookedStore:
    """An object store that asks before it keeps a checkpoint or deletes anything; what that raises is its answer."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        keeping: Callable[[str], None] = lambda _: None,
        deleting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._keeping, self._deleting = keeping, deleting
        self.get, self.list, self.ping = store.get, store.list, store.ping
        self.presign, self.presign_post = store.presign, store.presign_post

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        name = key.rpartition("/")[2]
        if name.startswith("checkpoint"):
            self._keeping(name)
        self._store.put(key, data, media_type=media_type)

    def delete(self, key: str) -> None:
        self._deleting(key)
        self._store.delete(key)
