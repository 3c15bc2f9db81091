"""What Prometheus reads: requests as this process has answered them, jobs as the database has them."""

import time
from threading import Lock
from typing import final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.domain.errors import Unavailable
from core.domain.job import JobClass, JobState
from core.domain.ports import Database
from core.domain.watching import Entered, QueueLoad
from core.usecases.activity import Activity, find_newest_event, measure_activity

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A read takes milliseconds, an upload may take seconds, and a caller may wait for his job up to a minute.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@final
class Metrics:
    """The numbers of one process.

    What jobs went through is counted from the database's events, beginning when these numbers are first read: every
    API process counts all of them, so a sum over processes counts them more than once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted_to: int | None = None
        self._lock = Lock()
        self._registry = registry = CollectorRegistry()
        by_class = ["job_class"]
        self._seconds = Histogram(
            "stylediffusion_http_request_seconds",
            "From a request to the beginning of its answer.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._up = Gauge("stylediffusion_database_up", "1 when the database has just answered.", registry=registry)
        self._jobs = Gauge("stylediffusion_jobs", "Unfinished jobs.", ["state", *by_class], registry=registry)
        self._age = Gauge(
            "stylediffusion_queue_oldest_age_seconds", "Of the job queued longest.", by_class, registry=registry
        )
        self._stranded = Gauge(
            "stylediffusion_queue_stranded", "Queued jobs that no ready worker runs.", by_class, registry=registry
        )
        self._workers = Gauge("stylediffusion_workers", "Workers that are ready.", registry=registry)
        self._slots = Gauge("stylediffusion_slots", "Of ready workers.", by_class, registry=registry)
        self._finished = Counter(
            "stylediffusion_jobs_finished", "Jobs that have ended.", ["state", *by_class], registry=registry
        )
        self._attempts = Counter("stylediffusion_attempts", "Attempts begun.", by_class, registry=registry)
        self._recoveries = Counter(
            "stylediffusion_recoveries", "Attempts begun after one was lost or failed.", by_class, registry=registry
        )

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """One answered request; the labels have few values, whatever callers send."""
        self._seconds.labels(method if method in _METHODS else "other", route, status).observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads; without a database what was last known of it, and that it is away."""
        with self._lock:
            try:
                if self._counted_to is None:
                    self._counted_to = find_newest_event(self._database)
                self._take(measure_activity(self._database, after=self._counted_to))
            except Unavailable:
                self._up.set(0)
            return generate_latest(self._registry)

    def _take(self, activity: Activity) -> None:
        self._up.set(1)
        for job_class in JobClass:
            for state in (JobState.WAITING, JobState.QUEUED, JobState.RUNNING):
                self._jobs.labels(state, job_class).set(activity.unfinished.get((state, job_class), 0))
        for load in activity.loads:
            self._take_load(load, activity)
        for entered in activity.entered:
            self._count(entered)
        self._counted_to = activity.counted_to

    def _take_load(self, load: QueueLoad, activity: Activity) -> None:
        oldest = load.oldest_queued_at
        age_seconds = 0.0 if oldest is None else max((activity.now - oldest).total_seconds(), 0.0)
        self._age.labels(load.job_class).set(age_seconds)
        self._stranded.labels(load.job_class).set(load.stranded)
        self._workers.set(load.workers)
        self._slots.labels(load.job_class).set(load.slots)

    def _count(self, entered: Entered) -> None:
        if entered.state.final:
            self._finished.labels(entered.state, entered.job_class).inc(entered.count)
        elif entered.state is JobState.RUNNING:
            self._attempts.labels(entered.job_class).inc(entered.count)
            if entered.again:
                self._recoveries.labels(entered.job_class).inc(entered.count)


@final
class Measured:
    """The layer that tells the metrics of every answer when it begins, so that a stream counts like any other."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at, answered = time.perf_counter(), False

        def observe(status: int) -> None:
            metrics: Metrics = scope["state"]["metrics"]
            route = getattr(scope.get("route"), "path", "unknown")
            seconds = time.perf_counter() - began_at
            metrics.observe(method=scope["method"], route=route, status=status, seconds=seconds)

        async def noting(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                observe(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            if not answered:
                observe(500)  # which is what the layer around this one makes of it
            raise
