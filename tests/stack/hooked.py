"""An object store that may refuse."""

from collections.abc import Callable, Iterator
from typing import final

from core.domain.errors import Unavailable
from core.domain.ports import ObjectStore


def refuse(_: str) -> None:
    """What a store that is away answers."""
    raise Unavailable("The object store does not answer.")


@final
class HookedStore:
    """An object store that asks before it keeps or gives a checkpoint, deletes or lists; what that raises goes on."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        keeping: Callable[[str], None] = lambda _: None,
        deleting: Callable[[str], None] = lambda _: None,
        reading: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._keeping, self._deleting, self._reading = keeping, deleting, reading
        self.presign, self.presign_post, self.ping = store.presign, store.presign_post, store.ping

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        name = key.rpartition("/")[2]
        if name.startswith("checkpoint"):
            self._keeping(name)
        self._store.put(key, data, media_type=media_type)

    def get(self, key: str) -> bytes:
        name = key.rpartition("/")[2]
        if name.startswith("checkpoint"):
            self._reading(name)
        return self._store.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        self._reading(prefix)
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._deleting(key)
        self._store.delete(key)
