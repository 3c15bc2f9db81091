"""What a tenant may still ask for: its unfinished jobs, and its computing time of the day."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import final

from core.domain.errors import ErrorCode, Exhausted
from core.domain.job import JobClass
from core.domain.ports import UnitOfWork

_DAY_SECONDS = 86_400
_QUEUE_SECONDS = 10  # a queue that is full is a little shorter some seconds later


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What holds for one tenant; None: no limit."""

    requests_per_minute: int
    max_unfinished_jobs: int
    compute_seconds_per_day: float | None = None


def check_limits(uow: UnitOfWork, tenant: str, limits: Limits | None, *, job_class: JobClass) -> None:
    """Lets another job pass, or not. Jobs that are asked for at the same moment may all pass.

    Raises:
        Exhausted: QUEUE_FULL, which a job of a batch never meets, or QUOTA_EXCEEDED.
    """
    if limits is None:
        return
    if job_class is JobClass.INTERACTIVE:
        _check_queue(uow, tenant, limits.max_unfinished_jobs)
    if limits.compute_seconds_per_day is not None:
        _check_quota(uow, tenant, limits.compute_seconds_per_day)


def _check_queue(uow: UnitOfWork, tenant: str, most: int) -> None:
    if uow.tenants.unfinished(tenant, limit=most) >= most:
        raise Exhausted(
            ErrorCode.QUEUE_FULL,
            f"You have {most} unfinished jobs, as many as you may; wait for some, or send a batch.",
            policy="unfinished-jobs",
            quota=most,
            retry_after_seconds=_QUEUE_SECONDS,
        )


def _check_quota(uow: UnitOfWork, tenant: str, most: float) -> None:
    now = uow.now().astimezone(UTC)
    used = sum(day.compute_seconds for day in uow.tenants.usage(tenant, first=now.date(), last=now.date()))
    if used >= most:
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        raise Exhausted(
            ErrorCode.QUOTA_EXCEEDED,
            f"Your jobs have used the {most:g} seconds of computing that you have a day (UTC).",
            policy="compute-seconds",
            quota=math.ceil(most),
            window_seconds=_DAY_SECONDS,
            retry_after_seconds=math.ceil((midnight - now).total_seconds()),
        )
