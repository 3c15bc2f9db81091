"""Whether this process lives, whether the service can do its work, and how much it does."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from core.domain.errors import Unavailable
from core.usecases.queue import require_worker
from service.dependencies import UsedPorts, get_metrics
from service.metrics import Metrics
from service.problems import declared
from service.schemas.catalogue import Health

router = APIRouter(tags=["health"])


@router.get("/livez", responses=declared(authenticated=False))
def live() -> Health:
    """200 as long as this process answers."""
    return Health(status="ok", parts={})


@router.get("/readyz", responses=declared(authenticated=False))
def ready(*, ports: UsedPorts) -> Health:
    """200 when database, object store and broker answer and a worker is ready; else 503 that names what fails.

    Without broker and workers jobs are still accepted and read: send callers where `/livez` answers.
    """
    pings = {
        "database": ports.database.ping,
        "store": ports.store.ping,
        "broker": ports.wakeups.ping,
        "workers": lambda: require_worker(ports.database, ports.model),
    }
    failing = {name: reason for name, ping in pings.items() if (reason := _failure(ping)) is not None}
    if failing:
        detail = " ".join(f"{name}: {reason}" for name, reason in failing.items())
        raise Unavailable(detail, failing=", ".join(failing))
    return Health(status="ok", parts=dict.fromkeys(pings, "ok"))


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "In Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **declared(authenticated=False),
    },
)
def read_metrics(*, metrics: Annotated[Metrics, Depends(get_metrics)]) -> Response:
    """For Prometheus: jobs by state and class, queue, workers, attempts, and requests by route and status.

    Asks for no key and names no tenant; keep it from the outside with the proxy in front.
    """
    return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _failure(ping: Callable[[], None]) -> str | None:
    try:
        ping()
    except Unavailable as error:
        return error.detail
    return None
