"""What the repositories of one unit of work share: its connection and its clock.

What every request asks is a statement made once, with bound parameters: to make it anew costs more than to send it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, final

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, literal, select

from core.storage.tables import UtcDateTime


@final
class Transaction:
    """An open transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._now: datetime | None = None

    @property
    def postgres(self) -> bool:
        """True on Postgres, where several processes write at once; SQLite has one writer at a time."""
        return self.connection.dialect.name == "postgresql"

    def now(self) -> datetime:
        """The database's clock, read once; SQLite lives in this process, so its clock is this machine's."""
        if self._now is None:
            self._now = self._read_clock()
        return self._now

    @property
    def clock(self) -> ColumnElement[datetime]:
        """The same within a statement, which spares one that only reads the clock."""
        known = self._now is not None or not self.postgres
        return literal(self.now(), UtcDateTime) if known else func.clock_timestamp()

    def one_with_clock(self, statement: Select[Any], parameters: Mapping[str, Any]) -> RowMapping | None:
        """The row a statement finds, if any; the clock comes with it and costs no statement of its own."""
        if self.postgres and self._now is None:
            statement = _with_clock(statement)
        row = self.connection.execute(statement, parameters).mappings().one_or_none()
        if row is not None and "_clock" in row:
            self._now = row["_clock"].astimezone(UTC)
        return row

    def _read_clock(self) -> datetime:
        if not self.postgres:
            return datetime.now(UTC)
        moment: datetime = self.connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)


@lru_cache(maxsize=64)
def _with_clock(statement: Select[Any]) -> Select[Any]:
    return statement.add_columns(func.clock_timestamp().label("_clock"))
