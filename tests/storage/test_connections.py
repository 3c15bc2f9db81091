"""Connections to PostgreSQL between two uses, and what a reader does with one."""

import socket
from time import sleep
from typing import Any

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import text

from core.domain.errors import Unavailable
from core.storage.database import SqlDatabase, SqlUnitOfWork


def test_a_connection_that_was_lost_while_nobody_used_it_is_replaced(postgres_url: str) -> None:
    database, other = SqlDatabase(postgres_url), SqlDatabase(postgres_url)
    with database.read() as uow:
        before = _number(uow)
    with other.read() as uow:
        uow.jobs._tx.connection.execute(text(f"SELECT pg_terminate_backend({before})"))
    sleep(1.1)  # longer than a connection is trusted after its last use

    with database.read() as uow:
        after = _number(uow)
    database.close()
    other.close()

    assert after != before


def test_reading_opens_no_transaction_and_writing_does(postgres_url: str) -> None:
    database = SqlDatabase(postgres_url)
    with database.read() as uow:
        reading = _status(uow)
    with database.begin() as uow:
        writing = _status(uow)
    database.close()

    assert (reading, writing) == (TransactionStatus.IDLE, TransactionStatus.INTRANS)


def test_a_connection_that_outlives_its_database_is_closed_when_it_comes_back(postgres_url: str) -> None:
    database = SqlDatabase(postgres_url)
    with database.read() as uow:
        driver = _driver(uow)
        database.close()
        assert not driver.closed

    assert driver.closed


def test_who_finds_no_free_connection_is_told_to_come_again(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.storage.database._KEPT_CONNECTIONS", 1)
    monkeypatch.setattr("core.storage.database._MORE_CONNECTIONS", 0)
    monkeypatch.setattr("core.storage.database._FREE_WITHIN_SECONDS", 0.1)
    database = SqlDatabase(postgres_url)
    with database.read(), pytest.raises(Unavailable, match="in use"), database.read():
        pass
    database.close()


def test_a_server_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = SqlDatabase(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2")
        with pytest.raises(Unavailable):
            database.ping()
        database.close()


def _number(uow: SqlUnitOfWork) -> int:
    return int(uow.jobs._tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _status(uow: SqlUnitOfWork) -> TransactionStatus:
    driver = _driver(uow)
    return TransactionStatus(driver.info.transaction_status)


def _driver(uow: SqlUnitOfWork) -> Any:
    connection = uow.jobs._tx.connection
    connection.execute(text("SELECT 1"))
    return connection.connection.dbapi_connection
