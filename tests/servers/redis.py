"""A real Redis for tests."""

import shutil
import tempfile
from pathlib import Path
from typing import Self, final

import redis

from tests.servers.daemon import Daemon, ServerError, find_program, free_port


@final
class Redis:
    """A Redis on a private loopback port which keeps nothing on disk unless told to.

    Args:
        append_only: every write goes to a log on disk, so that it survives `kill`.
    """

    def __init__(self, *, append_only: bool = False) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="stylediffusion-redis-"))
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}/0"
        durability = ["--save", "", "--appendonly", "yes" if append_only else "no", "--appendfsync", "always"]
        network = ["--bind", "127.0.0.1", "--port", str(port)]
        command = [find_program("redis-server"), *network, *durability, "--dir", str(self._directory)]
        self._daemon = Daemon(command, log=self._directory / "log")

    def __enter__(self) -> Self:
        try:
            self.start()
        except ServerError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    @property
    def pid(self) -> int | None:
        return self._daemon.pid

    def start(self) -> None:
        """Starts the server and returns when it answers; no effect on a running one."""
        self._daemon.start(ready=self._answers)

    def stop(self) -> None:
        """Stops in good order."""
        self._daemon.stop()

    def kill(self) -> None:
        """Ends the server at once."""
        self._daemon.kill()

    def flush(self) -> None:
        """Forgets every key of every database."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False
