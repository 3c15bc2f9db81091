"""Brings a database's tables up to date, and tells when they are not."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

import migrations
from core.domain.errors import Unavailable
from core.storage.database import answering, make_engine

_LOCK = "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Runs the missing migrations; several processes may call it at once."""
    _run(url, revision, down=False)


def downgrade(url: str, revision: str) -> None:
    """Undoes migrations down to a revision; `base` leaves no table."""
    _run(url, revision, down=True)


def require_current(url: str) -> None:
    """Refuses to go on with tables that this version of the code does not know.

    Raises:
        Unavailable: the database does not answer, or the schema is older or newer than the code.
    """
    engine = make_engine(url)
    try:
        with answering(), engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    if found != wanted:
        state = "has no tables yet" if found is None else f"is at schema {found}"
        raise Unavailable(f"The database {state} and this version needs {wanted}: run `stylediffusion migrate`.")


def _run(url: str, revision: str, *, down: bool) -> None:
    engine = make_engine(url)
    try:
        with answering(), engine.begin() as connection:
            _wait_for_turn(connection)
            (command.downgrade if down else command.upgrade)(_config(connection), revision)
    finally:
        engine.dispose()


def _wait_for_turn(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config
