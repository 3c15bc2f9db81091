"""The one task: claim the next job, run it, and call for the one after it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import structlog

from core.domain.job import Job
from core.domain.ports import Claim
from core.usecases.attempts import claim_next, wake_for_more
from core.usecases.tending import tend_batch
from worker.attempt import run_attempt
from worker.tools import Tools, Vacancy

_log = logging.getLogger(__name__)


def work(tools: Tools) -> None:
    """What a wake-up does: at most one job; nothing queued is no error."""
    if tools.heartbeat.stopping:
        tools.wakeups.send()  # for a worker that stays
    elif (claimed := claim(tools)) is not None:
        carry_out(tools, claimed)


def claim(tools: Tools) -> Claim | None:
    """The next job, with a seat of its own; None when there is no job, or no seat, or soon no worker."""
    if tools.heartbeat.stopping:
        return None

    def ask(vacancy: Vacancy) -> Claim | None:
        return claim_next(
            tools.database,
            lease_seconds=tools.limits.lease_seconds,
            classes=vacancy.classes,
            model=tools.model,
            suspects=vacancy.suspects,
        )

    return tools.seats.take(ask)


def carry_out(tools: Tools, claimed: Claim) -> None:
    """Runs a claimed job, leaves its seat, and calls for what comes next."""
    try:
        with _logged(claimed.job):
            run_attempt(tools, claimed)
    finally:
        tools.seats.leave(claimed)
    wake_for_more(tools.database, tools.wakeups)
    if claimed.job.batch_id is not None:
        tend_batch(
            tools.database,
            tools.wakeups,
            tools.model,
            tenant=claimed.job.tenant,
            batch_id=claimed.job.batch_id,
        )


@contextmanager
def _logged(job: Job) -> Iterator[None]:
    """Every line of an attempt carries the ids by which it is looked for; the last says how long it took."""
    ids = {"job_id": job.id, "request_id": job.request_id, "batch_id": job.batch_id, "tenant": job.tenant}
    known = {name: value for name, value in ids.items() if value is not None}
    started = monotonic()
    with structlog.contextvars.bound_contextvars(**known):
        try:
            yield
        finally:
            _log.info("Attempt %d has ended after %.1f s.", job.attempt, monotonic() - started)
