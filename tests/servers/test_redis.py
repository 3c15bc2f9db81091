"""The tests' own Redis."""

import pytest
import redis

from tests.servers.redis import Redis


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_redis(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        found = client.keys()
        client.set("turn", turn)

    assert found == []


def test_a_killed_redis_comes_back_empty(redis_server: Redis, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("key", "value")
        redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        redis_server.start()

        assert client.get("key") is None


def test_an_append_only_redis_keeps_what_it_was_told_when_killed() -> None:
    with Redis(append_only=True) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.kill()
        server.start()

        assert client.get("key") == b"value"
