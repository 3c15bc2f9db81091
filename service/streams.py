"""A job's events as they happen, as Server-Sent Events."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from core.domain.errors import Unavailable
from core.domain.job import Job, Progress
from core.domain.watching import EventKind, JobEvent
from core.usecases.events import list_events
from core.usecases.jobs import get_job
from service.dependencies import Call
from service.schemas.jobs import JobView, ProgressView, job_path
from service.waiting import Watcher, is_end

# Often enough for proxies, which give up a connection that is silent for a minute.
_HEARTBEAT_SECONDS = 15.0
# Then the caller comes again, and his key is looked at again.
_LONGEST_SECONDS = 3600.0


def stream_events(call: Call, job: Job, *, after: int) -> EventSourceResponse | None:
    """What has happened to a job since an event and what happens until its end; None when that event was the end."""
    past = list_events(call.ports.database, call.tenant, job.id, after=after)
    if not past and job.state.final:
        return None
    # nginx would hold events back until a buffer is full.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_stream(call, job, past, after=after), headers=headers)


async def _stream(call: Call, job: Job, past: Sequence[JobEvent], *, after: int) -> AsyncIterator[bytes]:
    ends_at = time.monotonic() + _LONGEST_SECONDS
    with call.ports.poller.watching(job.id, after=past[-1].number if past else after) as watcher:
        news: Sequence[JobEvent] | None = past or None
        while news != () and time.monotonic() < ends_at:
            for event in news or ():
                yield _encode(job, event)
                if is_end(event):
                    yield await _done(call, job, event)
                    return
            if news is None:
                yield KEEPALIVE_COMMENT
            news = await _next(watcher)


async def _next(watcher: Watcher) -> Sequence[JobEvent] | None:
    """None when nothing has happened for a while."""
    try:
        async with asyncio.timeout(_HEARTBEAT_SECONDS):
            return await watcher.news()
    except TimeoutError:
        return None


async def _done(call: Call, job: Job, event: JobEvent) -> bytes:
    try:
        ended = await run_in_threadpool(get_job, call.ports.database, call.tenant, job.id)
    except Unavailable:
        return KEEPALIVE_COMMENT  # the last event's id was not sent yet: the caller comes again for it
    return format_sse_event(event="done", data_str=JobView.of(ended).model_dump_json(), id=str(event.number))


def _encode(job: Job, event: JobEvent) -> bytes:
    # The id of the end goes with `done`, so that a caller cut off between the two is told again.
    number = None if is_end(event) else str(event.number)
    return format_sse_event(event=event.kind, data_str=to_json(_data(job, event)).decode(), id=number)


def _data(job: Job, event: JobEvent) -> dict[str, Any]:
    match event.kind:
        case EventKind.STATE:
            return {"state": event.state, "attempt": event.attempt, "at": event.at}
        case EventKind.PROGRESS:
            progress = ProgressView.of(Progress(**event.data))
            return {
                "step": progress.timestep,
                "steps": progress.timesteps,
                "fraction": progress.fraction,
                "eta_seconds": progress.eta_seconds,
            }
        case EventKind.PREVIEW:
            return {"url": f"{job_path(job)}/previews/{event.number}", "step": event.data["timestep"]}
