"""A folder as object store: for one machine, with no server."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import final

from core.domain.errors import NotFound, Unavailable
from core.domain.uploads import PostForm

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_UNFINISHED = ".tmp-"  # no key begins a part with a dot


@final
class FolderStore:
    """Implements `ObjectStore`; an object appears whole or not at all, and outlives a power cut."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        target = self._path(key)
        try:
            _make_folder(target.parent)
            _write(target, data)
        except OSError as error:
            raise Unavailable("The folder for objects cannot be written.") from error

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"There is no object {key}.") from error

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        folder = self._root.joinpath(*prefix.split("/")[:-1])
        for path in sorted(folder.rglob("*")):
            key = path.relative_to(self._root).as_posix()
            if path.is_file() and key.startswith(prefix) and not path.name.startswith(_UNFINISHED):
                yield key

    def presign(self, key: str, *, expires_seconds: int, filename: str) -> str | None:
        return None

    def presign_post(self, key: str, *, media_type: str, max_bytes: int, expires_seconds: int) -> PostForm | None:
        return None

    def ping(self) -> None:
        """Raises Unavailable when the folder cannot be written."""
        if not os.access(self._root, os.W_OK):
            raise Unavailable("The folder for objects cannot be written.")

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"not an object key: {key!r}")
        return self._root.joinpath(*parts)


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _write(target: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_UNFINISHED, delete=False) as unfinished:
        try:
            unfinished.write(data)
            unfinished.flush()
            os.fsync(unfinished.fileno())
            Path(unfinished.name).replace(target)
        except BaseException:
            Path(unfinished.name).unlink()
            raise
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """A new name is only safe once its folder is written."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
