"""How jobs are answered: as JSON with an ETag, after a wait where one was asked for, and once per Idempotency-Key."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, final

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from core.domain.access import IdempotencyRecord
from core.domain.errors import AppError
from core.domain.job import Job
from core.usecases.idempotency import Made, Remember, find_answer, keep_answer
from core.usecases.jobs import get_job
from core.usecases.queue import find_place
from service.dependencies import Call
from service.schemas.jobs import JobView, QueueView, job_path

# Between these a caller who polls neither hammers nor misses much.
_LEAST_POLL_SECONDS, _MOST_POLL_SECONDS = 1, 30
_REPLAYED = MappingProxyType({"Idempotent-Replayed": "true"})


@final
class AfterWait(Response):
    """Answers when the job is done or the time is up; until then no thread is held."""

    def __init__(self, call: Call, job_id: str, *, seconds: float, answer: Callable[[], Response]) -> None:
        super().__init__()
        self._poller = call.ports.poller
        self._job_id = job_id
        self._seconds = seconds
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._poller.wait(self._job_id, seconds=self._seconds)
        response = await run_in_threadpool(self._answer)
        await response(scope, receive, send)


def answer_job(call: Call, job: Job) -> Response:
    """200 with the job as it stands, or 304 when the caller has seen just that."""
    place = find_place(call.ports.database, job)
    view = JobView.of(job, None if place is None else QueueView(**asdict(place)))
    body = view.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", **_polling(view)}
    if is_known(call.request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def answer_accepted(job: Job) -> Response:
    """202 with the job as it stands, and where it is found from now on."""
    view = JobView.of(job)
    headers = {"Location": job_path(job), **_polling(view)}
    return Response(view.model_dump_json(), 202, media_type="application/json", headers=headers)


def submit_once(call: Call, fingerprint: str, submit: Callable[[Remember[Job] | None], Job]) -> Response:
    """202 with the job that `submit` makes, after the wait the caller prefers; or the first answer to it again.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH or IDEMPOTENCY_IN_FLIGHT.
    """
    remember: Remember[Job] | None = remembering(call, fingerprint, lambda job: (HTTPStatus.ACCEPTED, JobView.of(job)))

    def again(kept: IdempotencyRecord) -> Response:
        if not call.wish.wait_seconds:
            return answer_again(kept)
        job = get_job(call.ports.database, call.tenant, kept.body["id"])
        return _accepted_after_wait(call, job, headers=_REPLAYED)

    return once(call, fingerprint, lambda: _accepted_after_wait(call, submit(remember)), again=again)


def make_once(
    call: Call,
    fingerprint: str,
    make: Callable[[Remember[Made] | None], tuple[Made, dict[str, Any]]],
    *,
    status: int,
    show: Callable[[Made], BaseModel],
) -> Response:
    """What `make` has made, and what it tells once, which is not kept; or the first answer to it again.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH or IDEMPOTENCY_IN_FLIGHT.
    """

    def answer() -> Response:
        made, told_once = make(remembering(call, fingerprint, lambda made: (status, show(made))))
        return JSONResponse({**show(made).model_dump(mode="json"), **told_once}, status)

    return once(call, fingerprint, answer)


def stop_once(
    call: Call,
    fingerprint: str,
    stop: Callable[[Remember[tuple[Made, bool]] | None], tuple[Made, bool]],
    *,
    show: Callable[[Made], BaseModel],
) -> Response:
    """202 with what `stop` has stopped, 200 where it had ended before; or the first answer to it again.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH or IDEMPOTENCY_IN_FLIGHT.
    """

    def tell(stopped: tuple[Made, bool]) -> tuple[int, BaseModel]:
        made, was_there_to_be_stopped = stopped
        return HTTPStatus.ACCEPTED if was_there_to_be_stopped else HTTPStatus.OK, show(made)

    def answer() -> Response:
        status, shown = tell(stop(remembering(call, fingerprint, tell)))
        return JSONResponse(shown.model_dump(mode="json"), status)

    return once(call, fingerprint, answer)


def answer_again(kept: IdempotencyRecord) -> Response:
    """The first answer, said to be so."""
    headers = dict(_REPLAYED)
    if "links" in kept.body and kept.status == 202:
        headers["Location"] = kept.body["links"]["self"]
        if kept.body.get("done") is False:
            headers["Retry-After"] = str(_LEAST_POLL_SECONDS)
    return JSONResponse(kept.body, kept.status, headers=headers)


def once(
    call: Call,
    fingerprint: str,
    answer: Callable[[], Response],
    *,
    again: Callable[[IdempotencyRecord], Response] = answer_again,
) -> Response:
    """What `answer` says to a new request, which it keeps in the commit of what it does; or the first answer again.

    Raises:
        AppError: IDEMPOTENCY_MISMATCH or IDEMPOTENCY_IN_FLIGHT.
    """
    kept = _find(call, fingerprint)
    if kept is not None:
        return again(kept)
    try:
        return answer()
    except AppError:
        # Whoever was first with this key may be through by now, and what he did is in the way of doing it again.
        kept = _find(call, fingerprint)
        if kept is None:
            raise
        return again(kept)


def answer_once(call: Call, fingerprint: str, *, status: int, shown: BaseModel) -> Response:
    """The answer to a request that may safely be done twice; kept, after what it tells, where it carries a key."""
    body = shown.model_dump(mode="json")
    if call.wish.idempotency_key is not None:
        keep_answer(call.ports.database, _record(call, fingerprint, status=status, body=body))
    return JSONResponse(body, status)


def remembering(call: Call, fingerprint: str, tell: Callable[[Made], tuple[int, BaseModel]]) -> Remember[Made] | None:
    """Makes the record of the answer to this call, for the next with its key; None where it has none."""

    def remember(made: Made) -> IdempotencyRecord:
        status, shown = tell(made)
        return _record(call, fingerprint, status=status, body=shown.model_dump(mode="json"))

    return None if call.wish.idempotency_key is None else remember


def is_known(request: Request, etag: str) -> bool:
    """Whether the caller's If-None-Match names this representation."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in given.split(","))


def _accepted_after_wait(call: Call, job: Job, *, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    seconds = call.wish.wait_seconds
    if not seconds:
        return answer_accepted(job)

    def answer() -> Response:
        response = answer_accepted(get_job(call.ports.database, call.tenant, job.id))
        response.headers.update({"Preference-Applied": f"wait={seconds}", **headers})
        return response

    if job.state.final:
        return answer()
    return AfterWait(call, job.id, seconds=seconds, answer=answer)


def _find(call: Call, fingerprint: str) -> IdempotencyRecord | None:
    key = call.wish.idempotency_key
    return None if key is None else find_answer(call.ports.database, call.tenant, key=key, fingerprint=fingerprint)


def _record(call: Call, fingerprint: str, *, status: int, body: dict[str, Any]) -> IdempotencyRecord:
    key = call.wish.idempotency_key or ""
    return IdempotencyRecord(tenant=call.tenant, key=key, fingerprint=fingerprint, status=status, body=body)


def _polling(view: JobView) -> dict[str, str]:
    if view.done:
        return {}
    if view.queue is not None and not view.queue.workers:
        return {"Retry-After": str(_MOST_POLL_SECONDS)}
    eta = view.progress.eta_seconds or (view.queue and view.queue.estimated_wait_seconds) or _LEAST_POLL_SECONDS
    return {"Retry-After": str(math.ceil(min(max(eta, _LEAST_POLL_SECONDS), _MOST_POLL_SECONDS)))}
