"""The migrations build exactly the tables of the code, and can be undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, make_url

from core.domain.errors import Unavailable
from core.storage.database import SqlDatabase, make_engine
from core.storage.migrate import downgrade, require_current, upgrade
from core.storage.tables import metadata
from core.usecases.batches import BatchOrder, accept_batch, get_batch
from core.usecases.keys import list_keys, make_key, rotate_key


def _tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_the_migrations_build_the_tables_of_the_code(database_url: str) -> None:
    engine = make_engine(database_url)
    left_out = {"sqlite": {"ix_jobs_metadata", "ix_jobs_state"}}.get(engine.dialect.name, set())
    options = {"include_object": lambda _object, name, *_: name not in left_out}
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()

    assert differences == []


def test_every_partial_index_is_built(database_url: str) -> None:
    engine = make_engine(database_url)
    dialect = make_url(database_url).get_backend_name()
    built = {
        index["name"]: index.get("dialect_options", {}).get(f"{dialect}_where")
        for index in inspect(engine).get_indexes("jobs")
    }
    engine.dispose()

    partial = {
        index.name for index in metadata.tables["jobs"].indexes if index.dialect_options[dialect]["where"] is not None
    }
    assert {name for name, where in built.items() if where is not None} == partial


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    upgrade(database_url)

    require_current(database_url)


def test_the_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    downgrade(database_url, "base")
    emptied = _tables(database_url)
    upgrade(database_url)

    assert emptied == {"alembic_version"}
    assert _tables(database_url) == {"alembic_version", *metadata.tables}


def test_a_database_without_tables_is_refused_in_one_line(empty_database_url: str) -> None:
    with pytest.raises(Unavailable, match=r"has no tables yet.*run `stylediffusion migrate`") as refused:
        require_current(empty_database_url)

    assert "\n" not in refused.value.detail


def test_a_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        require_current("postgresql://nobody@127.0.0.1:1/none")


def test_a_batch_from_before_is_known_to_have_been_given_its_time(database_url: str) -> None:
    with _opened(database_url) as database:
        batches = [
            accept_batch(database, BatchOrder(tenant="acme", total=0, expires_in_seconds=seconds), ())
            for seconds in (86_400, None)
        ]
    downgrade(database_url, "0007")
    upgrade(database_url)

    with _opened(database_url) as database:
        given = [get_batch(database, "acme", batch.id).expires_in_seconds for batch in batches]
    assert given == [86_400, None]


def test_a_key_that_was_exchanged_ends_with_its_overlap_in_the_tables_from_before(database_url: str) -> None:
    with _opened(database_url) as database:
        keys = [make_key(database, "acme", name="", days=days)[0] for days in (None, 1, 30)]
        for key in keys:
            rotate_key(database, key.id, overlap=timedelta(days=2))
        ends = [key.ends_at for key in list_keys(database)]
    downgrade(database_url, "0007")
    upgrade(database_url)

    with _opened(database_url) as database:
        assert [key.expires_at for key in list_keys(database)] == ends


@contextmanager
def _opened(url: str) -> Iterator[SqlDatabase]:
    database = SqlDatabase(url)
    yield database
    database.close()
