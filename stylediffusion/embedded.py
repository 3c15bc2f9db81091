"""API and worker under one supervisor, with everything they keep in one folder."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import final

import click
import httpx

from core.domain.errors import Unavailable
from core.settings import Settings
from core.usecases.keys import list_keys, make_key
from core.wiring import build_database, migrate
from stylediffusion.parts import SUPERVISED

HOST = "127.0.0.1"
TENANT = "default"
KEY_FILE = "api-key"  # readable by its owner only; what the commands of this machine use

_READY_SECONDS = 120.0  # a slow machine reads its model from a cold disk
_DRAIN_SECONDS = 30.0  # for a worker to finish its timestep, keep a checkpoint and give its jobs back
_RESTARTS = 5  # within _RESTART_WINDOW_SECONDS; more means that restarting does not help
_RESTART_WINDOW_SECONDS = 60.0


def run_embedded(settings: Settings, *, port: int) -> int:
    """Runs the service until SIGINT or SIGTERM; the exit status.

    Raises:
        Unavailable: the port or the folder is taken, or a part does not start.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _only_service(settings.data_dir):
        _refuse_taken(port)
        migrate(settings)
        token = _first_key(settings)
        parts = [Part("worker", ["worker"], settings), Part("api", ["api", "--port", str(port)], settings)]
        try:
            for part in parts:
                part.start()
            if _wait_until_ready(parts, port, stop):
                _announce(settings, port, token)
            while not stop.wait(0.2):
                for part in parts:
                    part.keep_alive()
        finally:
            click.echo("Stopping; unfinished work goes on at the next start.")
            for part in parts:
                part.stop()
    return 0


@final
class Part:
    """One child process, restarted when it dies; it ends with us, even if we are killed."""

    def __init__(self, name: str, arguments: list[str], settings: Settings) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "stylediffusion", *arguments]
        self._environment = {
            "LOG_LEVEL": "warning",  # a person watches; what it says is rare and matters
            **os.environ,
            "DATA_DIR": str(settings.data_dir),
            "SLOTS": str(settings.slots),
            SUPERVISED: "1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._starts: list[float] = []

    def start(self) -> None:
        """Starts the process in a session of its own: Ctrl-C reaches us alone, and we stop it in order."""
        self._starts.append(time.monotonic())
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
        )

    def keep_alive(self) -> None:
        """Starts the process again if it has died.

        Raises:
            Unavailable: it died too often.
        """
        if self._process is None or self._process.poll() is None:
            return
        recent = [start for start in self._starts if time.monotonic() - start < _RESTART_WINDOW_SECONDS]
        if len(recent) > _RESTARTS:
            raise Unavailable(f"The {self.name} keeps dying (status {self._process.returncode}); see its output above.")
        click.echo(f"The {self.name} died with status {self._process.returncode}; starting it again.", err=True)
        time.sleep(0.2 * len(recent))
        self.start()

    def stop(self) -> None:
        """Lets the process end in order, and kills it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextmanager
def _only_service(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"Another service runs on {data_dir}; stop it, or choose another folder.") from error
        yield


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Unavailable(f"Port {port} is taken; choose another with --port.") from error


def _first_key(settings: Settings) -> str | None:
    """The key made at the first start, None at every later one."""
    database = build_database(settings)
    if list_keys(database):
        return None
    _, token = make_key(database, TENANT, name="first start")
    file = settings.data_dir / KEY_FILE
    file.touch(mode=0o600)
    file.write_text(token + "\n")
    return token


def _wait_until_ready(parts: list[Part], port: int, stop: Event) -> bool:
    give_up_at = time.monotonic() + _READY_SECONDS
    while time.monotonic() < give_up_at:
        if stop.wait(0.1):
            return False
        for part in parts:
            part.keep_alive()
        try:
            if httpx.get(f"http://{HOST}:{port}/readyz", timeout=5).is_success:
                return True
        except httpx.TransportError:
            continue
    raise Unavailable(f"The API did not become ready within {_READY_SECONDS:.0f} seconds.")


def _announce(settings: Settings, port: int, token: str | None) -> None:
    click.echo(f"StyleDiffusion is up: http://{HOST}:{port}  (API reference at /docs)")
    if token is None:
        click.echo(
            f"The API key is the one printed at the first start; it also lies in {settings.data_dir / KEY_FILE}."
        )
    else:
        click.echo(f"API key, shown this once: {token}")
        click.echo(f"The commands on this machine read it from {settings.data_dir / KEY_FILE}.")
    click.echo("Ctrl-C stops it; nothing is lost.")
