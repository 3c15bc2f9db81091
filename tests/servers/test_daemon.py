"""What every server of the tests has in common."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.daemon import Daemon, MissingServerError, ServerError, find_program, is_alive

_ROOT = Path(__file__).parents[2]

_STARTS_SERVERS = """
import time
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3
with Postgres() as postgres, Redis() as redis, S3() as s3:
    print(postgres.pid, redis.pid, *s3.pids, flush=True)
    time.sleep(600)
"""


def test_a_missing_program_is_named_with_the_line_to_type() -> None:
    with pytest.raises(MissingServerError) as missing:
        find_program("no-such-server")

    line = str(missing.value).partition("`sudo ")[2].rstrip("`")
    assert (_ROOT / line).is_file()


def test_a_program_that_ends_at_once_is_reported_with_what_it_said(tmp_path: Path) -> None:
    daemon = Daemon(["sh", "-c", "echo no room left"], log=tmp_path / "log")

    with pytest.raises(ServerError, match="no room left"):
        daemon.start(ready=lambda: False)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A temporary folder which, unlike pytest's, the database's own user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_servers_die_with_the_tests_even_when_those_are_killed(public_folder: Path) -> None:
    command = [sys.executable, "-c", _STARTS_SERVERS]
    environment = os.environ | {"TMPDIR": str(public_folder)}
    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE) as tests:
        assert tests.stdout is not None
        pids = [int(pid) for pid in tests.stdout.readline().split()]
        alive = [is_alive(pid) for pid in pids]
        tests.kill()
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert alive == [True] * 5
    assert not any(map(is_alive, pids))
