"""What becomes of the locks of a process that stands still in the middle of a transaction."""

from time import sleep

import pytest
from sqlalchemy import text

from core.domain.errors import Unavailable
from core.settings import Settings
from core.storage.database import SqlDatabase
from core.storage.migrate import upgrade
from core.wiring import build_database


def test_a_process_that_stands_still_loses_its_locks(postgres_url: str) -> None:
    database = SqlDatabase(postgres_url)
    taken: list[bool] = []

    def stand_still() -> None:
        with database.begin() as still:
            taken.append(still.try_lock("sweep"))
            still.jobs._tx.connection.execute(text("SET idle_in_transaction_session_timeout = 100"))
            sleep(0.5)
            with database.begin() as other:
                taken.append(other.try_lock("sweep"))
            still.commit()

    with pytest.raises(Unavailable):
        stand_still()
    database.close()

    assert taken == [True, True]


@pytest.mark.parametrize(("lease", "rest"), [(60, "10s"), (6, "1s")])
def test_a_transaction_rests_for_a_sixth_of_a_lease_at_most(postgres_url: str, lease: float, rest: str) -> None:
    upgrade(postgres_url)
    settings = Settings(database_url=postgres_url, lease_seconds=lease)
    database = build_database(settings)
    assert isinstance(database, SqlDatabase)
    with database.begin() as uow:
        allowed = uow.jobs._tx.connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    database.close()

    assert allowed == rest
