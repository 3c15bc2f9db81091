"""The web process: middleware, routes and ports put together, and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from core.queue.app import make_app
from core.settings import Settings
from core.usecases.events import find_news
from core.wiring import build_database, build_model, build_store, build_wakeups, build_web
from service.background import running
from service.body_limit import BodyLimit
from service.callers import Callers
from service.console_files import add_console
from service.dependencies import Ports, State
from service.failures import add_failure_handlers
from service.limits import RateLimitHeaders, RateLimits
from service.metrics import Measured, Metrics
from service.openapi import add_openapi
from service.request_ids import RequestIds
from service.routes import batches, catalogue, edits, health, images, inversions, jobs, tenants, uploads, webhooks
from service.waiting import Poller


def create_app(settings: Settings, *, build: Callable[[Settings], Ports] | None = None) -> FastAPI:
    """The application; its ports are made when it starts.

    Args:
        build: makes the ports; left out, from the settings alone.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        ports = (build or build_ports)(settings)
        try:
            async with running(ports):
                yield State(ports=ports, metrics=Metrics(ports.database))
        finally:
            await ports.rate_limits.close()
            ports.web.close()
            ports.database.close()

    app = FastAPI(
        title="StyleDiffusion",
        version=version("stylediffusion"),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: f"{(route.tags or ['service'])[0]}_{route.name}",
    )
    # The last added is the outermost.
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, larger={"/batches": settings.max_batch_bytes})
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(Measured)
    app.add_middleware(RequestIds)
    add_failure_handlers(app)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    for module in (images, uploads, inversions, edits, jobs, batches, webhooks, catalogue, tenants, health):
        app.include_router(module.router)
    add_console(app)
    add_openapi(app)


def build_ports(settings: Settings) -> Ports:
    """The ports that the settings name.

    Raises:
        Unavailable: the database does not answer, or its tables are not up to date.
    """
    database = build_database(settings)
    return Ports(
        settings=settings,
        database=database,
        store=build_store(settings),
        wakeups=build_wakeups(make_app(settings), database),
        model=build_model(settings),
        poller=Poller(partial(find_news, database)),
        web=build_web(settings),
        callers=Callers(database),
        rate_limits=RateLimits(settings),
    )
