"""A short run of the chaos suite on real servers; `make chaos` is the long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.report import judge
from tests.chaos.run import Order, play
from tests.chaos.stack import Servers
from tests.chaos.stories import Kind
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3, Bucket

# Neither of those that lose attempt after attempt: each costs a lease.
KINDS = (Kind.TRUE, Kind.EDITS, Kind.DUPLICATES, Kind.CANCELED, Kind.BATCH, Kind.ONCE)
TIMED = "BROKEN P3"  # on a machine that does other things too, no test should stand on seconds


@pytest.fixture
def servers(
    postgres_server: Postgres, redis_server: Redis, s3_server: S3, postgres_url: str, redis_url: str, s3: Bucket
) -> Iterator[Servers]:
    """Those of the tests, which the monkey may stop; whoever asks for them next finds them running."""
    yield Servers(postgres_server, redis_server, s3_server, postgres_url, s3)
    redis_server.start()


def test_nothing_is_lost_while_servers_and_workers_break(servers: Servers, tmp_path: Path) -> None:
    evidence = play(servers, tmp_path, Order(jobs=20, kinds=KINDS))

    broken = [line for line in judge(evidence).lines if line.startswith("BROKEN") and not line.startswith(TIMED)]
    assert evidence.deeds
    assert broken == []


def test_nothing_is_lost_while_an_embedded_worker_is_killed(tmp_path: Path) -> None:
    evidence = play(None, tmp_path, Order(jobs=12, kinds=(Kind.TRUE, Kind.EDITS, Kind.SINGLE)))

    broken = [line for line in judge(evidence).lines if line.startswith("BROKEN") and not line.startswith(TIMED)]
    assert evidence.deeds
    assert broken == []
