"""In a large table PostgreSQL finds what is asked for by an index, the rarest filters included."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from core.domain.job import JobClass, JobKind, JobState
from core.domain.ports import JobFilter, UnitOfWork
from core.storage.database import SqlDatabase
from core.storage.migrate import upgrade
from tests.load.rows import Rows, id_of
from tests.load.stack import TENANT

MODEL = {"name": "pocket", "revision": "1"}
ROWS = 60_000  # far more than a planner would rather read as a whole


@pytest.fixture(scope="module")
def filled(postgres_server: Any) -> Iterator[SqlDatabase]:
    """Jobs of fifty tenants."""
    postgres_server.start()
    url = postgres_server.create_database("plans")
    upgrade(url)
    database = SqlDatabase(url)
    with database.engine.connect() as connection:
        Rows(connection, rows=ROWS, model=MODEL).fill()
    yield database
    database.close()
    postgres_server.start()
    postgres_server.drop_database("plans")


def listed(**wanted: Any) -> Callable[[UnitOfWork], object]:
    return lambda uow: uow.jobs.list(JobFilter(tenant=TENANT, limit=51, **wanted))


ASKED: dict[str, Callable[[UnitOfWork], object]] = {
    "a job": lambda uow: uow.jobs.get(TENANT, id_of(0)),
    "all": listed(),
    "a kind": listed(kind=JobKind.EDIT),
    "a state": listed(state=JobState.FAILED),
    "a state that is rare": listed(state=JobState.EXPIRED),
    "a method": listed(method="p2plus"),
    "a method that was never used": listed(method="imagic"),
    "a batch": listed(batch_id="bat_" + "0" * 26),
    "an inversion's edits": listed(inversion_id=id_of(0)),
    "a value of many jobs": listed(metadata=(("campaign", "c-5"),)),
    "a value of one job": listed(metadata=(("sku", "5"),)),
    "a value of no job": listed(metadata=(("nothing", "5"),)),
    "a value of no job, with a state": listed(metadata=(("sku", "x"),), state=JobState.FAILED),
    "the next job": lambda uow: uow.jobs.claim_next(lease_seconds=60, classes=tuple(JobClass), model=MODEL),
    "lost leases": lambda uow: uow.jobs.expire_leases(limit=100),
    "deadlines": lambda uow: uow.jobs.expire_deadlines(limit=100),
    "old artifacts": lambda uow: uow.jobs.expire_artifacts(limit=100),
    "what to tidy": lambda uow: uow.jobs.untidy(before=uow.now() - timedelta(hours=1), limit=100),
    "the queue": lambda uow: uow.queue.load(JobClass.INTERACTIVE, model=MODEL),
}


def explained(database: SqlDatabase, ask: Callable[[UnitOfWork], object]) -> list[str]:
    """Every statement on jobs that an answer takes, each with its plan; nothing it changes is kept."""
    plans: list[str] = []
    explaining = False

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        nonlocal explaining
        if not explaining and " jobs" in statement and not statement.startswith("INSERT"):
            explaining = True
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join([statement, *(row[0] for row in plan)]))
            explaining = False

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        with database.begin() as uow:
            ask(uow)
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)
    return plans


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_for_often_is_found_by_an_index(filled: SqlDatabase, name: str) -> None:
    plans = explained(filled, ASKED[name])

    assert plans
    assert [plan for plan in plans if "Seq Scan on jobs" in plan] == []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("a state that is rare", "ix_jobs_state"),
        ("a method that was never used", "ix_jobs_method"),
        ("a value of one job", "ix_jobs_metadata"),
        ("a value of no job", "ix_jobs_metadata"),
        ("a value of no job, with a state", "ix_jobs_metadata"),
    ],
)
def test_what_is_rare_is_found_without_reading_all_jobs_of_a_tenant(filled: SqlDatabase, name: str, index: str) -> None:
    (plan,) = explained(filled, ASKED[name])

    assert index in plan
