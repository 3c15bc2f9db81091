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
    wakeups = _wakeups(app)

    wakeups.send()
    wakeups.send(2)

    assert wakeups.waiting() == 3


@pytest.mark.parametrize(("slots", "most"), [(0, 2), (1, 2), (4, 8), (100, 200)])
def test_at_most_two_wake_ups_wait_for_each_slot(app: Celery, slots: int, most: int) -> None:
    wakeups = _wakeups(app, slots=slots)

    for _ in range(10):
        wakeups.send(50)

    assert wakeups.waiting() == most


def test_senders_count_together_what_waits(app: Celery) -> None:
    first, second = _wakeups(app, slots=2), _wakeups(app, slots=2)

    first.send(3)
    second.send(3)

    assert first.waiting() == 4


def test_wake_ups_are_sent_while_nobody_can_count_slots(app: Celery) -> None:
    def count_slots() -> int:
        raise Unavailable("The database does not answer.")

    wakeups = CeleryWakeUps(app, count_slots=count_slots)
    wakeups.send(10)

    assert wakeups.waiting() == 2


def test_slots_are_not_counted_for_every_wake_up(app: Celery) -> None:
    counts = iter([1])
    wakeups = CeleryWakeUps(app, count_slots=lambda: next(counts))

    for _ in range(5):
        wakeups.send()

    assert list(counts) == []


def test_a_wake_up_on_an_idle_broker_asks_for_no_slots(app: Celery) -> None:
    counts = iter([1])

    CeleryWakeUps(app, count_slots=lambda: next(counts)).send()

    assert list(counts) == [1]


def test_a_wake_up_carries_nothing(tmp_path: Path) -> None:
    app = make_app(Settings(data_dir=tmp_path))
    _wakeups(app).send()
    app.close()

    (message,) = (tmp_path / "queue").iterdir()
    assert json.loads(message.read_text())["headers"]["argsrepr"] == "()"


def test_a_broker_that_is_there_answers(app: Celery) -> None:
    _wakeups(app).ping()


@pytest.mark.parametrize("pause_seconds", [0, 5])
def test_a_dead_broker_fails_no_request_and_holds_none_up(
    redis_url: str, redis_server: Redis, monkeypatch: pytest.MonkeyPatch, pause_seconds: float
) -> None:
    monkeypatch.setattr("core.queue.wakeups._PAUSE_SECONDS", pause_seconds)
    app = make_app(Settings(redis_url=SecretStr(redis_url)))
    wakeups = _wakeups(app)
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


def _wakeups(app: Celery, *, slots: int = 4) -> CeleryWakeUps:
    return CeleryWakeUps(app, count_slots=lambda: slots)


def _next(channel: object) -> dict[str, object]:
    while True:
        try:
            message: dict[str, object] = channel._get(QUEUE)  # type: ignore[attr-defined]
        except Exception as error:
            if type(error).__name__ != "Empty":
                raise
        else:
            return message
