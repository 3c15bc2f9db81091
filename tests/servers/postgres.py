"""A real PostgreSQL for tests."""

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Self, final

import psycopg
from psycopg import sql

from tests.servers.daemon import Daemon, ServerError, find_program, free_port, is_alive, run_tool

_USER = "postgres"


@final
class Postgres:
    """A PostgreSQL cluster on a private loopback port; any installed version will do."""

    def __init__(self) -> None:
        versions = sorted(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
        )
        self._directory = Path(tempfile.mkdtemp(prefix="stylediffusion-postgres-"))
        self._data = self._directory / "data"
        self._initdb = find_program("initdb", *versions)
        self._port = free_port()
        # The server refuses to run as root; Debian's package has made this user.
        self._user = _USER if os.geteuid() == 0 else None
        self._daemon = Daemon(
            [find_program("postgres", *versions), "-D", str(self._data), *_settings(self._port)],
            log=self._directory / "log",
            user=self._user,
            death_signal=signal.SIGQUIT,  # "immediate shutdown", which takes the backends along
        )

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
        """Starts the cluster and returns when it answers; no effect on a running one."""
        if not self._data.exists():
            self._initialise()
        self._daemon.start(ready=self._answers)

    def stop(self) -> None:
        """Closes every connection and stops in good order."""
        self._daemon.stop(signal.SIGINT)

    def kill(self) -> None:
        """Ends the server and every backend at once; `start` then recovers from the log."""
        backends = _children(self.pid) if self.pid else []
        self._daemon.kill()
        for pid in backends:
            _kill_and_wait(pid)

    def url(self, database: str) -> str:
        """The address of a database, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str, *, template: str = "template0") -> str:
        """Makes a database as a copy of `template`, which nobody may be connected to, and returns its address."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Removes a database and cuts whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _initialise(self) -> None:
        identity: list[str] = []
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._directory, account.pw_uid, account.pw_gid)
            identity = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--init-groups", "--"]
        options = ["--username", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        run_tool([*identity, self._initdb, "-D", str(self._data), *options])

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self._port, user=_USER, dbname="postgres", autocommit=True, connect_timeout=5
        )

    def _execute(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _settings(port: int) -> list[str]:
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,  # several workers and API processes, each with a pool
        # A killed server loses nothing by these: what it wrote is in the kernel's memory. Only a power cut would tell.
        # Not so `synchronous_commit=off`, which leaves commits in the server's own memory.
        "fsync": "off",
        "full_page_writes": "off",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _kill_and_wait(pid: int) -> None:
    """Kills a process that is not our child; a new server refuses to start while it holds the shared memory."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.01)
