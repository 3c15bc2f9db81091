"""The tests' own PostgreSQL."""

import psycopg
import pytest

from tests.servers.postgres import Postgres


def _connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, turn: int) -> None:
    with _connect(postgres_url) as connection:
        connection.execute("CREATE TABLE marks (turn int)")
        connection.execute("INSERT INTO marks VALUES (%s)", [turn])
        rows = connection.execute("SELECT turn FROM marks").fetchall()

    assert rows == [(turn,)]


def test_a_database_can_be_a_copy_of_another(postgres_server: Postgres, postgres_url: str) -> None:
    with _connect(postgres_url) as connection:
        connection.execute("CREATE TABLE marks AS SELECT 7 AS mark")

    copy = postgres_server.create_database("a_copy", template=postgres_url.rpartition("/")[2])
    with _connect(copy) as connection:
        rows = connection.execute("SELECT mark FROM marks").fetchall()
    postgres_server.drop_database("a_copy")

    assert rows == [(7,)]


def test_committed_rows_survive_a_killed_server(postgres_server: Postgres, postgres_url: str) -> None:
    connection = _connect(postgres_url)
    connection.execute("CREATE TABLE marks AS SELECT 7 AS mark")

    postgres_server.kill()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    postgres_server.start()

    with _connect(postgres_url) as again:
        assert again.execute("SELECT mark FROM marks").fetchall() == [(7,)]


def test_a_stopped_server_starts_again_at_the_same_address(postgres_server: Postgres, postgres_url: str) -> None:
    postgres_server.stop()
    with pytest.raises(psycopg.OperationalError):
        _connect(postgres_url)
    postgres_server.start()

    _connect(postgres_url).close()
