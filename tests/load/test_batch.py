"""A small batch through the whole service on the packaged model; `tests.load.batch` sends a large one."""

import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.load.batch_run import Canceled, Order, Run, cancel_at, follow, send
from tests.load.items import FAULTS, draw_scenes
from tests.load.stack import Stack, environment, running
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3

ORDER = Order(items=40, images=10, bad=len(FAULTS), timesteps=3)


@pytest.fixture(scope="module")
def stack(postgres_server: Postgres, redis_server: Redis, s3_server: S3) -> Iterator[Stack]:
    """API and worker on the session's servers, which sweep often."""
    name = f"load-{uuid.uuid4().hex}"
    for server in (postgres_server, redis_server, s3_server):
        server.start()
    redis_server.flush()
    database_url, bucket = postgres_server.create_database(name), s3_server.create_bucket(name)
    with running({**environment(database_url, redis_server.url, bucket), "SWEEP_SECONDS": "1"}, slots=5) as stack:
        yield stack
    postgres_server.drop_database(name)
    s3_server.remove_bucket(name)


@pytest.fixture(scope="module")
def run(stack: Stack) -> Run:
    """A batch that was followed to its end."""
    with stack.client() as client:
        run = send(client, ORDER, draw_scenes(ORDER.images, seed=1))
        follow(client, run)
    return run


@pytest.fixture(scope="module")
def canceled(stack: Stack) -> Canceled:
    """Another, canceled when a quarter of its items were done."""
    with stack.client() as client:
        run = send(client, ORDER, draw_scenes(ORDER.images, seed=2))
        return cancel_at(stack, client, run, done=ORDER.items // 4, watch_seconds=4)


def test_every_item_of_a_batch_is_done_or_explained(run: Run) -> None:
    assert run.wrong() == []


def test_every_kind_of_fault_is_told_by_its_code(run: Run) -> None:
    expected = Counter(str(fault.code) for fault in FAULTS.values())

    assert run.codes() == expected


def test_results_are_read_while_the_batch_runs(run: Run) -> None:
    assert run.early > ORDER.items / 2


def test_no_attempt_begins_after_the_answer_to_a_cancellation(canceled: Canceled) -> None:
    assert canceled.begun_after == 0


def test_a_canceled_batch_ends_with_every_item_accounted_for(canceled: Canceled) -> None:
    final = {state: count for state, count in canceled.counts.items() if count}

    assert final.keys() == {"succeeded", "failed", "canceled"}
    assert sum(final.values()) == ORDER.items


def test_the_scenes_of_a_large_batch_are_all_different() -> None:
    pictures = {scene.picture for scene in draw_scenes(200, seed=1)}

    assert len(pictures) == 200
