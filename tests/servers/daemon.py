"""A server process that the tests start, and that never outlives them."""

import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

# Below those that Linux gives outgoing connections: one of these would take a restarted server's port meanwhile.
_PORTS = range(15_000, 32_000)


@final
class MissingServerError(Exception):
    """A program that the tests need is not installed."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is not installed: type `sudo scripts/install_test_servers.sh`")


@final
class ServerError(Exception):
    """A server did not do what the tests asked of it."""


def find_program(name: str, *folders: Path) -> str:
    """The program of this name on PATH or in one of the folders.

    Raises:
        MissingServerError: it is in none of them.
    """
    search = [None, *(str(folder) for folder in folders)]
    found = next((path for path in (shutil.which(name, path=folder) for folder in search) if path), None)
    if found is None:
        raise MissingServerError(name)
    return found


def free_port() -> int:
    """A loopback port that nobody listens on."""
    chance = random.SystemRandom()  # of its own: test runs beside each other may be seeded alike
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_alive(pid: int) -> bool:
    """Whether a process runs; where process 1 does not reap, the dead stay listed as zombies."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def run_tool(command: Sequence[str]) -> None:
    """Runs a command to its end.

    Raises:
        ServerError: it failed; the message ends with what it printed.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    if done.returncode:
        raise ServerError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


@final
class Daemon:
    """One server process.

    The kernel sends it `death_signal` when the thread that started it is gone, so even `kill -9` of the tests leaves
    nothing behind. Start daemons from the main thread only.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        user: str | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        self._command = ["setpriv", f"--pdeathsig={death_signal.name}", *identity, "--", *command]
        self._name = Path(command[0]).name
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, ready: Callable[[], bool], seconds: float = 30) -> None:
        """Starts the process, unless it runs, and returns once `ready` says yes.

        Raises:
            ServerError: the process ended, or was not ready in time.
        """
        if self.pid is None:
            with self._log.open("ab") as log:
                # A session of its own: Ctrl-C stops the tests first, and they stop the servers. The folder in which
                # services run: Debian 13's Ceph finds its plug-ins only from there.
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
                )
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid is None or time.monotonic() > deadline:
                raise ServerError(f"{self._name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self, by: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> None:
        """Asks the process to end and waits for it; a process that does not obey is killed."""
        if self._process is None:
            return
        self._process.send_signal(by)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends the process at once, as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
