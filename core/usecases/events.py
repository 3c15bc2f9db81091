"""What those who watch a job are told."""

from collections.abc import Mapping, Sequence

from core.domain.errors import NotFound
from core.domain.ports import Database
from core.domain.watching import EventKind, JobEvent


def list_events(database: Database, tenant: str, job_id: str, *, after: int = 0) -> Sequence[JobEvent]:
    """What has happened to the job since event number `after`, oldest first."""
    with database.read() as uow:
        return uow.events.of(tenant, job_id, after=after)


def find_news(database: Database, after: Mapping[str, int]) -> Sequence[JobEvent]:
    """What has happened to each of these jobs since the event that is given for it, oldest first."""
    with database.read() as uow:
        return uow.events.news(after)


def find_preview(database: Database, tenant: str, job_id: str, *, number: int) -> str:
    """The object key of the preview that an event of this number has told of.

    Raises:
        NotFound: there is none, or no more: previews go when their attempt ends.
    """
    for event in list_events(database, tenant, job_id, after=number - 1):
        if event.number == number and event.kind is EventKind.PREVIEW:
            return str(event.data["key"])
    raise NotFound(f"The job {job_id} has no preview {number}; previews go when the job ends.")
