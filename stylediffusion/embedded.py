"""The whole service on one machine: API and worker as processes on one data folder, kept running until told to stop."""

import fcntl
import os
import socket
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Final, Self, final

from core.domain.errors import ErrorCode, InputError, Unavailable
from core.settings import Settings
from core.usecases.keys import Scope, list_keys, make_key
from core.usecases.queue import forget_workers
from core.wiring import build_database, migrate
from stylediffusion.children import Child
from stylediffusion.connection import KEY_FILE, save_address, save_key
from stylediffusion.listening import listen

_ANSWER_SECONDS: Final = 60.0  # for the API; loading a model takes as long as it takes
_DRAIN_SECONDS: Final = 30.0  # a worker hands its jobs back within ten, if the machine is not too busy
_HOST: Final = "127.0.0.1"
_TENANT: Final = "local"


@final
class Embedded:
    """API and worker of one data folder; `with` starts and stops them."""

    def __init__(self, settings: Settings, *, port: int) -> None:
        """Starts nothing yet.

        Args:
            settings: of an embedded service.
            port: where the API listens, on the loopback alone; 0 takes any that is free.

        Raises:
            InputError: the settings name a database, a broker or a bucket.
        """
        if settings.database_url or settings.redis_url or settings.s3_bucket:
            raise InputError(
                ErrorCode.VALIDATION,
                "`up` is the embedded service; with DATABASE_URL, REDIS_URL or S3_BUCKET set, start `stylediffusion "
                "migrate`, `api` and `worker` one by one.",
            )
        # Wherever the processes run, the folder is the same.
        self._settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
        self._port = port
        self._children: tuple[Child, ...] = ()
        self.new_key: str | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = self._settings.data_dir
            stack.enter_context(_only_owner(folder))
            listener = stack.enter_context(closing(listen(_HOST, self._port)))
            self.url = f"http://{_HOST}:{listener.getsockname()[1]}"
            migrate(self._settings)
            self.new_key = self._prepare()
            save_address(folder, self.url)
            stack.callback(self._stop)
            self._start(listener)
            self._wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def greeting(self) -> str:
        """What its user has to know."""
        file = self._settings.data_dir / KEY_FILE
        key = f"The API key lies in {file}." if self.new_key is None else f"API key, shown this once: {self.new_key}"
        where = f"StyleDiffusion is up: {self.url} (open it in a browser; API reference at /docs)"
        return f"{where}\n{key}\nCtrl-C stops it; nothing is lost."

    def mind(self) -> None:
        """Starts again what has ended.

        Raises:
            Unavailable: a process ends again and again.
        """
        for child in self._children:
            child.mind()

    def _start(self, listener: socket.socket) -> None:
        environment = _environment(self._settings)
        descriptor = listener.fileno()
        # The socket stays open here, so that callers wait, and are not refused, while the API starts again.
        self._children = (
            Child("api", f"--fd={descriptor}", environment=environment, descriptors=[descriptor]),
            Child("worker", environment=environment),
        )

    def _stop(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(_DRAIN_SECONDS)

    def _wait_until_ready(self) -> None:
        """The API answers, and a worker has warmed its model up."""
        give_up_at = time.monotonic() + _ANSWER_SECONDS
        while not _answers(f"{self.url}/readyz"):
            self.mind()
            if time.monotonic() > give_up_at and not _answers(f"{self.url}/livez"):
                raise Unavailable(f"The API does not answer within {_ANSWER_SECONDS:g} seconds.")
            time.sleep(0.1)
        for child in self._children:
            child.trust()

    def _prepare(self) -> str | None:
        """The first key where there is none; a worker of an earlier life is ready no more."""
        with closing(build_database(self._settings)) as database:
            forget_workers(database)
            if list_keys(database):
                return None
            _, key = make_key(database, _TENANT, name="first start", scopes=Scope)
        save_key(self._settings.data_dir, key)
        return key


def _environment(settings: Settings) -> dict[str, str]:
    """What the processes read the same settings from, whatever else was set outside."""
    outside = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    # A person watches: what is said at this level is rare and matters.
    changed = {"log_level": "warning"} | settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return outside | {name.upper(): str(value) for name, value in changed.items()}


def _only_owner(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "up.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Unavailable(f"Another `stylediffusion up` uses {folder}; stop it, or choose another --data.") from error
    return lock


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
