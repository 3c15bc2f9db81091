"""What the repositories of one unit of work share: its connection and its clock."""

from datetime import UTC, datetime
from typing import final

from sqlalchemy import Connection, func, select


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

    def _read_clock(self) -> datetime:
        if not self.postgres:
            return datetime.now(UTC)
        moment: datetime = self.connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
