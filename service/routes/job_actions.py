"""What a caller can do with any job he has; the same under /inversions, /edits and /jobs."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, final

from fastapi import APIRouter, Header, Path, Query, Response

from core.domain.errors import Conflict, ErrorCode
from core.domain.job import Job, JobKind
from core.domain.watching import EventKind
from core.usecases.events import find_preview
from core.usecases.jobs import cancel_job, delete_job, get_artifact, get_job, retry_job
from service.answers import AfterWait, answer_job, stop_once, submit_once
from service.bodies import fingerprint
from service.dependencies import MAX_WAIT_SECONDS, Call, JobId, Posting, Reading, Writing
from service.files import PNG, UNCHANGED, answer_file
from service.problems import REPEATABLE, declared
from service.schemas.jobs import ArtifactView, JobView
from service.streams import stream_events

WaitSeconds = Annotated[
    int, Query(ge=0, le=MAX_WAIT_SECONDS, description="Answer once the job is done, or after this.")
]

_POSTED = (*REPEATABLE, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION)
_RETRIED = (
    *_POSTED,
    ErrorCode.JOB_ACTIVE,
    ErrorCode.INVERSION_FAILED,
    ErrorCode.ARTIFACT_EXPIRED,
    ErrorCode.QUEUE_FULL,
    ErrorCode.QUOTA_EXCEEDED,
)
READ_FILE = (ErrorCode.NOT_FOUND, ErrorCode.JOB_NOT_FINISHED, ErrorCode.ARTIFACT_EXPIRED)
_ALREADY_FINAL: dict[int | str, dict[str, Any]] = {200: {"model": JobView, "description": "The job was already final."}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in ("image/png", "application/json", "application/octet-stream")
        },
    }
}
# A presigned address is followed at once or not at all; an hour allows for slow pages and clocks.
_PRESIGNED_SECONDS = 3600

_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": [*EventKind, "done"]},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Each event has this form.", "content": {"text/event-stream": {"schema": _EVENT}}},
    204: {"description": "The job has ended and all has been told."},
}
# As large as a database counts.
EventNumber = Annotated[int, Path(ge=1, lt=2**63)]
LastEventId = Annotated[int, Header(ge=0, lt=2**63, description="The id of the last event that has arrived.")]


@final
@dataclass(frozen=True, slots=True)
class JobActions:
    """The handlers for jobs of one kind, or of any."""

    kind: JobKind | None

    def read(self, *, call: Reading, job_id: JobId, wait: WaitSeconds = 0) -> Response:
        """A job as it stands, with progress, place in the queue and result.

        While it is unfinished, Retry-After says when to look again. If-None-Match saves an unchanged answer.
        """
        job = self._get(call, job_id)
        if not wait or job.state.final:
            return answer_job(call, job)
        return AfterWait(call, job.id, seconds=wait, answer=lambda: answer_job(call, self._get(call, job_id)))

    def cancel(self, *, call: Posting, job_id: JobId) -> Response:
        """Stops a job: a queued one never starts, a running one stops within two calls of the model (202).

        A job that is already final stays as it is (200).
        """
        ports = call.ports
        return stop_once(
            call,
            fingerprint(call.request),
            lambda remember: cancel_job(
                ports.database, ports.wakeups, call.tenant, job_id=job_id, kind=self.kind, remember=remember
            ),
            show=JobView.of,
        )

    def retry(self, *, call: Posting, job_id: JobId) -> Response:
        """Makes a new job like a failed, canceled or expired one; `retry_of` names the old one."""
        self._get(call, job_id)
        ports = call.ports
        return submit_once(
            call,
            fingerprint(call.request),
            lambda remember: retry_job(
                ports.database, ports.wakeups, ports.model, order=call.order(remember=remember), job_id=job_id
            ),
        )

    def delete(self, *, call: Writing, job_id: JobId) -> Response:
        """Erases a finished job's artifacts and takes it off the lists; what is left tells that it was."""
        delete_job(call.ports.database, call.ports.store, call.tenant, job_id=job_id, kind=self.kind)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def events(self, *, call: Reading, job_id: JobId, last_event_id: LastEventId = 0) -> Response:
        """What happens to a job, as Server-Sent Events: `state`, `progress`, `preview`, and at last `done`.

        It begins with what has happened already, or after the event in Last-Event-ID. `done` carries the job; a caller
        who comes again after it gets 204.
        """
        stream = stream_events(call, self._get(call, job_id), after=last_event_id)
        return Response(status_code=HTTPStatus.NO_CONTENT) if stream is None else stream

    def preview(self, *, call: Reading, job_id: JobId, number: EventNumber) -> Response:
        """What a running job looked like when its `preview` event was sent (PNG); gone when the attempt ends."""
        self._get(call, job_id)
        key = find_preview(call.ports.database, call.tenant, job_id, number=number)
        return answer_file(call, key, media_type="image/png")

    def artifacts(self, *, call: Reading, job_id: JobId) -> list[ArtifactView]:
        """The files a job has left; none while it is unfinished."""
        job = self._get(call, job_id)
        if job.forgotten:
            raise Conflict(ErrorCode.ARTIFACT_EXPIRED, f"The artifacts of {job_id} are no longer kept.")
        return [
            ArtifactView.of(job, artifact, url=_presigned(call, artifact.key, artifact.name))
            for artifact in job.artifacts
        ]

    def artifact(self, *, call: Reading, job_id: JobId, name: str) -> Response:
        """One file's bytes."""
        self._get(call, job_id)
        artifact = get_artifact(call.ports.database, call.tenant, job_id, name=name)
        return answer_file(call, artifact.key, media_type=artifact.media_type, version=artifact.sha256)

    def _get(self, call: Call, job_id: str) -> Job:
        return get_job(call.ports.database, call.tenant, job_id, kind=self.kind)


def add_job_actions(router: APIRouter, kind: JobKind | None) -> None:
    """The routes below one job's address."""
    actions = JobActions(kind)
    one = "/{job_id}"
    found = declared(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION)
    router.get(one, response_model=JobView, responses={**found, **UNCHANGED})(actions.read)
    router.delete(one, status_code=204, responses=declared(ErrorCode.NOT_FOUND, ErrorCode.JOB_ACTIVE))(actions.delete)
    router.post(
        f"{one}/cancel", status_code=202, response_model=JobView, responses={**_ALREADY_FINAL, **declared(*_POSTED)}
    )(actions.cancel)
    router.post(f"{one}/retry", status_code=202, response_model=JobView, responses=declared(*_RETRIED))(actions.retry)
    router.get(f"{one}/events", response_class=Response, responses={**_EVENTS, **found})(actions.events)
    router.get(f"{one}/previews/{{number}}", response_class=Response, responses={**PNG, **found})(actions.preview)
    gone = declared(ErrorCode.NOT_FOUND, ErrorCode.ARTIFACT_EXPIRED)
    router.get(f"{one}/artifacts", responses=gone)(actions.artifacts)
    router.get(
        f"{one}/artifacts/{{name}}",
        response_class=Response,
        responses={**_FILE, **UNCHANGED, **declared(*READ_FILE)},
    )(actions.artifact)


def _presigned(call: Call, key: str, name: str) -> str | None:
    return call.ports.store.presign(key, expires_seconds=_PRESIGNED_SECONDS, filename=name)
