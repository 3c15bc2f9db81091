"""Wake-ups are few, never fail, and are never read half-written."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest
from celery import Celery
from pydantic import SecretStr

from core.domain.errors import Unavailable
from core.queue.app import QUEUE, make_app
from core.queue.wakeups import CeleryWakeUps
from core.settings import Settings
from tests.servers.redis import Redis


@pytest.fixture(params=["files", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Celery]:
    url = SecretStr(request.getfixturevalue("redis_url")) if request.param == "redis" else None
    app = make_app(Settings(data_dir=tmp_path, redis_url=url))
    yield app
    app.close()


def test_a_wake_up_waits_for_a_worker(app: Celery) -> None:
    wakeups = CeleryWakeUps(app)

    wakeups.send()
    wakeups.send(2)

    assert wakeups.waiting() == 3


def test_no_more_wake_ups_wait_than_slots_could_use(app: Celery) -> None:
    wakeups = CeleryWakeUps(app)

    for _ in range(10):
        wakeups.send(50)

    assert wakeups.waiting() == 64


def test_a_wake_up_carries_nothing(tmp_path: Path) -> None:
    app = make_app(Settings(data_dir=tmp_path))
    CeleryWakeUps(app).send()
    app.close()

    (message,) = (tmp_path / "queue").iterdir()
    assert json.loads(message.read_text())["headers"]["argsrepr"] == "()"


def test_a_broker_that_is_there_answers(app: Celery) -> None:
    CeleryWakeUps(app).ping()


def test_a_dead_broker_fails_no_request_and_holds_none_up(redis_url: str, redis_server: Redis) -> None:
    app = make_app(Settings(redis_url=SecretStr(redis_url)))
    wakeups = CeleryWakeUps(app)
    wakeups.send()
    redis_server.stop()

    began = monotonic()
    for _ in range(20):
        wakeups.send()
    took = monotonic() - began
    with pytest.raises(Unavailable):
        wakeups.ping()
    app.close()

    assert took < 3


def test_a_message_is_never_read_half_written(tmp_path: Path) -> None:
    app = make_app(Settings(data_dir=tmp_path))
    done = Event()

    def send() -> None:
        while not done.is_set():
            app.send_task("work", args=["x" * 100_000])

    sender = Thread(target=send)
    sender.start()
    try:
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            read = [_next(channel) for _ in range(200)]
    finally:
        done.set()
        sender.join()
        app.close()

    assert all(message["body"] for message in read)


def _next(channel: object) -> dict[str, object]:
    while True:
        try:
            message: dict[str, object] = channel._get(QUEUE)  # type: ignore[attr-defined]
        except Exception as error:
            if type(error).__name__ != "Empty":
                raise
        else:
            return message
