"""SQLite and Postgres behind one door: a unit of work is one transaction."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, final

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from core.domain.errors import Unavailable
from core.storage.access import SqlIdempotency, SqlKeys
from core.storage.batches import SqlBatches
from core.storage.events import SqlEvents
from core.storage.images import SqlImages
from core.storage.jobs import SqlJobs
from core.storage.queue import SqlQueue
from core.storage.tenants import SqlTenants
from core.storage.transaction import Transaction
from core.storage.uploads import SqlUploads
from core.storage.webhooks import SqlWebhooks
from core.storage.workers import SqlWorkers

_BUSY_MILLISECONDS = 30_000  # a write of ours takes milliseconds; only a stuck process makes another wait so long
_REST_SECONDS = 10.0
# A process has up to forty threads for requests. What is beyond the kept ones is opened and closed for each use, which
# costs more than the query.
_KEPT_CONNECTIONS = 16
_MORE_CONNECTIONS = 24
_FREE_WITHIN_SECONDS = 30.0  # then whoever waits for a connection is told to come again
# A server that is gone without a word is given up after so long, and not when the kernel gives up, hours later.
_SILENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
_TRUSTED_SECONDS = 1.0  # so long after its last use a connection is taken to be alive


@final
class SqlUnitOfWork:
    """Implements `UnitOfWork`."""

    def __init__(self, connection: Connection) -> None:
        self._tx = Transaction(connection)
        self.jobs = SqlJobs(self._tx)
        self.images = SqlImages(self._tx)
        self.batches = SqlBatches(self._tx)
        self.keys = SqlKeys(self._tx)
        self.idempotency = SqlIdempotency(self._tx)
        self.events = SqlEvents(self._tx)
        self.queue = SqlQueue(self._tx)
        self.workers = SqlWorkers(self._tx)
        self.tenants = SqlTenants(self._tx)
        self.uploads = SqlUploads(self._tx)
        self.webhooks = SqlWebhooks(self._tx)
        self.now = self._tx.now

    def commit(self) -> None:
        self._tx.connection.commit()

    def lock(self, name: str) -> None:
        if self._tx.postgres:
            self._tx.connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))

    def try_lock(self, name: str) -> bool:
        if not self._tx.postgres:
            return True  # a transaction that writes is alone
        taken = func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0))
        return bool(self._tx.connection.execute(select(taken)).scalar_one())


@final
class SqlDatabase:
    """Implements `Database`.

    Args:
        url: of SQLite or Postgres.
        rest_seconds: how long a transaction may do nothing before Postgres ends it; less than it takes to recover a
            job, for the locks of a process that stands still are in the way.
    """

    def __init__(self, url: str, *, rest_seconds: float = _REST_SECONDS) -> None:
        self.engine = make_engine(url, rest_seconds=rest_seconds)
        # On Postgres every statement sees what is committed by then, in a transaction or not: reading opens none.
        postgres = self.engine.dialect.name == "postgresql"
        self._reading = self.engine.execution_options(
            **({"isolation_level": "AUTOCOMMIT"} if postgres else {"sqlite_begin": "DEFERRED"})
        )

    @contextmanager
    def begin(self) -> Iterator[SqlUnitOfWork]:
        with answering(), self.engine.connect() as connection:
            yield SqlUnitOfWork(connection)

    @contextmanager
    def read(self) -> Iterator[SqlUnitOfWork]:
        with answering(), self._reading.connect() as connection:
            yield SqlUnitOfWork(connection)

    def ping(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with answering(), self._reading.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Gives up every connection; one that is in use is given up when it comes back."""
        event.listen(self.engine, "checkin", lambda _connection, record: record.close())
        self.engine.dispose()


def make_engine(url: str, *, rest_seconds: float = _REST_SECONDS) -> Engine:
    """An engine for a SQLite or Postgres address; `postgres://` and `postgresql://` mean the psycopg driver."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if address.drivername in {"postgres", "postgresql"}:
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(
        address,
        connect_args={name: value for name, value in _SILENCE.items() if name not in address.query},
        pool_use_lifo=True,
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=_FREE_WITHIN_SECONDS,
    )
    event.listen(engine, "connect", lambda connection, _: _prepare_postgres(connection, rest_seconds))
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_ping_unused, engine.dialect))
    return engine


def _prepare_postgres(connection: Any, rest_seconds: float) -> None:
    # A process that stands still, or whose machine is gone, gives back its locks: sweeping is one of them.
    connection.execute(f"SET idle_in_transaction_session_timeout = {math.ceil(1000 * rest_seconds)}")
    connection.commit()


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_unused(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """As SQLAlchemy's own ping before use, but not of a connection that has just been used.

    Raises:
        InvalidatePoolError: the server has gone since; the pool begins anew, with this use.
    """
    if time.monotonic() < record.info.get("used_at", math.inf) + _TRUSTED_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, below
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power cut
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the one write lock at once: a transaction that upgrades later may be refused instead of waiting.
    connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "IMMEDIATE"))


@contextmanager
def answering() -> Iterator[None]:
    """Turns the driver's own failures into ours."""
    try:
        yield
    except DBAPIError as error:
        if not (isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated):
            raise
        raise Unavailable("The database does not answer; try again in a moment.") from error
    except PoolTimeout as error:
        raise Unavailable("All connections to the database are in use; try again in a moment.") from error
