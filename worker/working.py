"""What a slot does: claim the next job, run it, and call for the one after it."""

import logging
from collections.abc import Callable, Iterator
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


def work(tools: Tools, *, found: Callable[[], object] = lambda: None) -> bool:
    """Runs the next job to its end; False when there is none for this worker now, or it is going down.

    Args:
        found: called once there is a job, before it runs: there may be more.
    """

    def ask(vacancy: Vacancy) -> Claim | None:
        return claim_next(
            tools.database,
            lease_seconds=tools.limits.lease_seconds,
            classes=vacancy.classes,
            model=tools.model,
            suspects=vacancy.suspects,
        )

    claimed = None if tools.heartbeat.stopping else tools.seats.take(ask)
    if claimed is None:
        return False
    found()
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
    return True


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
