"""Deliberate defects, each of which a promise of the service forbids: what finds none of them proves nothing."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from threading import Timer
from typing import Any, cast, final

from core.domain.job import Job, Progress
from core.domain.ports import Beat, Claim, Database, JobRepository, ObjectStore, Outcome, UnitOfWork

_LATE_SECONDS = 0.5
_STORED_LATE_SECONDS = 4.0  # often enough a worker is killed meanwhile


class Defect(StrEnum):
    """What is wrong on purpose."""

    NONE = "none"
    NO_FENCE = "no-fence"  # whoever writes a job is taken for the one who holds it
    NO_SWEEPER = "no-sweeper"  # an expired lease stays where it is
    ANSWER_FIRST = "answer-first"  # a job is accepted before it is committed
    ROW_FIRST = "row-first"  # a result is told before its bytes are stored
    NO_CANCEL = "no-cancel"  # a worker never learns that a job is to be canceled


@final
class AlteredDatabase:
    """Implements `Database`: another one, with other repositories of jobs or with something after each commit."""

    def __init__(
        self,
        database: Database,
        *,
        jobs: Callable[[JobRepository], Any] = lambda jobs: jobs,
        commit: Callable[[UnitOfWork, bool], None] = lambda uow, _: uow.commit(),
    ) -> None:
        """Alters nothing yet.

        Args:
            database: the true one.
            jobs: makes the repository of a unit of work from the true one.
            commit: commits a unit of work; it is told whether that has added a job.
        """
        self._database = database
        self._jobs = jobs
        self._commit = commit
        self.read, self.ping, self.close = database.read, database.ping, database.close

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        """For writing."""
        with self._database.begin() as uow:
            yield cast(UnitOfWork, _Altered(uow, self._jobs(uow.jobs), self._commit))


@final
class LateDatabase:
    """Implements `Database`: a unit of work that has added a job is committed half a second after it says so."""

    def __init__(self, database: Database, *, ends: Callable[[], bool]) -> None:
        """Commits late from now on.

        Args:
            database: the true one.
            ends: asked whenever something is about to be committed late; True kills this process before that.
        """
        self._database = database
        self._ends = ends
        self.read, self.ping, self.close = database.read, database.ping, database.close

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        """For writing."""
        opened = self._database.begin()
        late: list[UnitOfWork] = []

        def commit(uow: UnitOfWork, added: bool) -> None:  # noqa: FBT001 - as `AlteredDatabase` calls it
            if added:
                late.append(uow)
            else:
                uow.commit()

        uow = opened.__enter__()
        try:
            yield cast(UnitOfWork, _Altered(uow, uow.jobs, commit))
        except BaseException:
            opened.__exit__(*sys.exc_info())
            raise
        if late:
            if self._ends():
                Timer(_LATE_SECONDS / 2, os.kill, (os.getpid(), signal.SIGKILL)).start()
            Timer(_LATE_SECONDS, _commit_and_close, (uow, opened)).start()
        else:
            opened.__exit__(None, None, None)


@final
class LateStore:
    """Implements `ObjectStore`: results appear some seconds after they were put."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.get, self.delete, self.list = store.get, store.delete, store.list
        self.presign, self.presign_post, self.ping = store.presign, store.presign_post, store.ping

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        """Keeps checkpoints and previews now and everything else later."""
        if key.rpartition("/")[2].startswith(("checkpoint", "preview")):
            self._store.put(key, data, media_type=media_type)
        else:
            Timer(_STORED_LATE_SECONDS, self._store.put, (key, data), {"media_type": media_type}).start()


def break_database(database: Database, defect: Defect) -> Database:
    """The database of a worker or an API with this defect."""
    if defect is Defect.NO_FENCE:
        return AlteredDatabase(database, jobs=_Unfenced)
    if defect is Defect.NO_SWEEPER:
        return AlteredDatabase(database, jobs=_Unswept)
    if defect is Defect.NO_CANCEL:
        return AlteredDatabase(database, jobs=_Deaf)
    return database


@final
class _Altered:
    """A unit of work with another repository of jobs and another commit."""

    def __init__(self, uow: UnitOfWork, jobs: Any, commit: Callable[[UnitOfWork, bool], None]) -> None:
        self._uow = uow
        self._commit = commit
        self.jobs = _Noticing(jobs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._uow, name)

    def commit(self) -> None:
        self._commit(self._uow, self.jobs.added)


class _Jobs:
    """Another repository of jobs, but for what is wrong with this one."""

    def __init__(self, jobs: JobRepository) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)


@final
class _Noticing(_Jobs):
    """Notices whether a job is added."""

    def __init__(self, jobs: JobRepository) -> None:
        super().__init__(jobs)
        self.added = False

    def add(self, job: Job) -> Job:
        self.added = True
        return self._jobs.add(job)


@final
class _Unfenced(_Jobs):
    """Takes every writer for the one who holds the lease."""

    def beat(self, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat:
        return self._jobs.beat(self._holder(claim), progress, lease_seconds=lease_seconds)

    def save_checkpoint(self, claim: Claim, key: str, progress: Progress) -> bool:
        return self._jobs.save_checkpoint(self._holder(claim), key, progress)

    def save_preview(self, claim: Claim, key: str, *, timestep: int) -> bool:
        return self._jobs.save_preview(self._holder(claim), key, timestep=timestep)

    def finish(self, claim: Claim, outcome: Outcome, *, retention: timedelta) -> bool:
        return self._jobs.finish(self._holder(claim), outcome, retention=retention)

    def release(self, claim: Claim, *, count_attempt: bool) -> bool:
        return self._jobs.release(self._holder(claim), count_attempt=count_attempt)

    def _holder(self, claim: Claim) -> Claim:
        job = self._jobs.get(claim.job.tenant, claim.job.id)
        return claim if job is None else replace(claim, fence=job.fence)


@final
class _Unswept(_Jobs):
    """Lets expired leases be."""

    def expire_leases(self, *, limit: int) -> int:
        return 0


@final
class _Deaf(_Jobs):
    """Never tells a worker that somebody wants a job to stop."""

    def beat(self, claim: Claim, progress: Progress, *, lease_seconds: float) -> Beat:
        return replace(self._jobs.beat(claim, progress, lease_seconds=lease_seconds), cancel_requested=False)


def _commit_and_close(uow: UnitOfWork, opened: AbstractContextManager[UnitOfWork]) -> None:
    uow.commit()
    opened.__exit__(None, None, None)
