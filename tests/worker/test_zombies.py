"""What an attempt leaves in the store that comes back after another has ended the job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import final

import pytest

from core.domain.errors import Unavailable
from core.domain.job import JobState
from core.domain.ports import Database, ObjectStore, UnitOfWork
from core.usecases.sweep import tidy
from tests.stack.fakes import cancel, claim, finish, load
from tests.stack.submitting import Caller
from worker.tools import Tools
from worker.working import work


@final
class PausingStore:
    """An object store to whom something happens before it keeps an object of this name for the first time."""

    def __init__(self, store: ObjectStore, name: str, happen: Callable[[], None]) -> None:
        self._store, self._name, self._happen = store, name, happen
        self.put_since: list[str] = []
        self._happened = False
        self.get, self.delete, self.list = store.get, store.delete, store.list
        self.presign, self.presign_post, self.ping = store.presign, store.presign_post, store.ping

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        name = key.rpartition("/")[2]
        if name == self._name and not self._happened:
            self._happened = True
            self._happen()
        if self._happened:
            self.put_since.append(name)
        self._store.put(key, data, media_type=media_type)


@final
class ForgetfulDatabase:
    """A database that does what it is asked to and, once, does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._forgets = False
        self.forgotten = 0
        self.read, self.ping, self.close = database.read, database.ping, database.close

    def forget(self) -> None:
        self._forgets = True

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        with self._database.begin() as uow:
            yield uow
        if self._forgets:
            self._forgets = False
            self.forgotten += 1
            raise Unavailable("The database does not answer.")


@pytest.mark.parametrize("name", ["checkpoint-3", "preview-2.png", "reconstruction.png", "inversion.safetensors"])
def test_what_a_zombie_puts_is_tidied_away(tools: Tools, caller: Caller, name: str) -> None:
    job = caller.invert()

    def end_elsewhere() -> None:
        with tools.database.begin() as uow:
            uow.jobs.void_leases()
            uow.jobs.expire_leases(limit=1)
            uow.commit()
        finish(tools.database, claim(tools.database, model=tools.model.identity))
        tidy(tools.database, tools.store, ended_for=timedelta(0))

    store = PausingStore(tools.store, name, end_elsewhere)
    work(replace(tools, store=store))
    ended = load(tools.database, job)
    tidy(tools.database, tools.store, ended_for=timedelta(0))

    assert name in store.put_since
    assert list(tools.store.list(job.folder)) == []
    assert load(tools.database, job) == ended


def test_an_attempt_that_learns_of_its_end_stores_no_result(tools: Tools, caller: Caller) -> None:
    job = caller.invert()

    def cancel_late() -> None:
        cancel(tools.database, job)
        tools.heartbeat.tick()

    store = PausingStore(tools.store, "checkpoint-5", cancel_late)  # of the last timestep
    work(replace(tools, store=store))

    assert load(tools.database, job).state is JobState.CANCELED
    assert store.put_since == ["checkpoint-5"]


def test_a_result_that_the_database_took_without_saying_so_is_kept(tools: Tools, caller: Caller) -> None:
    """The attempt says it again and is refused, but its objects are the job's."""
    job = caller.invert()
    database = ForgetfulDatabase(tools.database)

    work(replace(tools, database=database, store=PausingStore(tools.store, "inversion.safetensors", database.forget)))
    tidy(tools.database, tools.store, ended_for=timedelta(0))

    kept = [artifact.key for artifact in load(tools.database, job).artifacts]
    assert database.forgotten == 1
    assert len(kept) == 3
    assert sorted(tools.store.list(job.folder)) == sorted(kept)
