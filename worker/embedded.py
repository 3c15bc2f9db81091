"""The lock of an embedded service: one worker per data folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.domain.errors import Unavailable


@contextmanager
def only_worker(data_dir: Path) -> Iterator[None]:
    """Holds the folder for this process; whoever held it before is gone, and so are its leases.

    Raises:
        Unavailable: another worker uses the folder.
    """
    with (data_dir / "worker.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"Another worker uses {data_dir}; stop it, or choose another DATA_DIR.") from error
        yield
