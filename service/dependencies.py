"""What handlers are given: the ports, the caller and his scope, and what the headers ask for.

What only looks at what is there is a coroutine, for FastAPI runs every other function in a thread of its own.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypedDict, cast, final

from fastapi import Depends, Header, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator

from core.domain.catalogue import Model
from core.domain.errors import AppError, ErrorCode, NotFound
from core.domain.job import Job
from core.domain.ports import Database, ObjectStore, WakeUps
from core.domain.tenants import Caller, Tenant
from core.domain.web import Web
from core.settings import Settings
from core.usecases.idempotency import Remember, parse_key
from core.usecases.keys import Scope
from core.usecases.limits import Limits
from core.usecases.requests import Order
from service.callers import Callers
from service.limits import RateLimits, limits_of
from service.metrics import Metrics
from service.waiting import Poller

MAX_WAIT_SECONDS = 60
_MAX_DEADLINE_SECONDS = 30 * 86_400  # as long as artifacts are kept
_WAIT = re.compile(r"(?:^|[,;\s])wait(?:\s*=\s*\"?(\d{1,9})\"?)?\s*(?:$|[,;])", re.IGNORECASE)
_JOB_ID = re.compile(r"(inv|edt)_[0-9a-v]{26}")
_BATCH_ID = re.compile(r"bat_[0-9a-v]{26}")
_IMAGE_ID = re.compile(r"img_[0-9a-v]{26}")
KEY_ID = re.compile(r"key_[0-9a-v]{26}")
UPLOAD_ID = re.compile(r"upl_[0-9a-v]{26}")
ENDPOINT_ID = re.compile(r"whe_[0-9a-v]{26}")
DELIVERY_ID = re.compile(r"msg_[0-9a-v]{26}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside this process, and the one poller inside it; made once, when the process starts."""

    settings: Settings
    database: Database
    store: ObjectStore
    wakeups: WakeUps
    model: Model
    poller: Poller
    web: Web
    callers: Callers
    rate_limits: RateLimits


@final
class State(TypedDict):
    """What the application's lifespan hands to every request."""

    ports: Ports
    metrics: Metrics


async def get_ports(request: Request) -> Ports:
    """The ports of this process."""
    return cast(Ports, request.state.ports)


async def get_metrics(request: Request) -> Metrics:
    """The numbers of this process."""
    return cast(Metrics, request.state.metrics)


UsedPorts = Annotated[Ports, Depends(get_ports)]

_BEARER = HTTPBearer(scheme_name="ApiKey", bearerFormat="sk_…", auto_error=False, description="`stylediffusion keys`")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


async def get_caller(request: Request, credentials: _Credentials) -> Caller:
    """Whose key is in the Authorization header, if he may ask so often."""
    ports: Ports = request.state.ports
    if credentials is None:
        raise AppError(ErrorCode.UNAUTHENTICATED, "Send the header `Authorization: Bearer sk_…`.")
    caller = await ports.callers.find(credentials.credentials)
    request.state.tenant = caller.tenant.name  # for the log
    limits = limits_of(ports.settings, caller.tenant)
    request.state.left = await ports.rate_limits.take(caller.tenant.name, limits.requests_per_minute)
    return caller


def is_listed_id(text: str) -> bool:
    """Whether this could be the id of something of ours that is listed."""
    return any(pattern.fullmatch(text) for pattern in (_JOB_ID, _BATCH_ID, DELIVERY_ID, KEY_ID))


def known_form(pattern: re.Pattern[str], noun: str) -> Callable[[str], str]:
    """The check of an id in a path."""

    def check(given: str) -> str:
        # What cannot be an id of ours is not there, like any other id that is not.
        if not pattern.fullmatch(given):
            raise NotFound(f"There is no such {noun}.")
        return given

    return check


JobId = Annotated[str, Path(examples=["inv_06g8q2vd7tqk5c3h0f9sm1n4bo"]), AfterValidator(known_form(_JOB_ID, "job"))]
BatchId = Annotated[
    str, Path(examples=["bat_06g8q2vd7tqk5c3h0f9sm1n4bo"]), AfterValidator(known_form(_BATCH_ID, "batch"))
]
ImageId = Annotated[
    str, Path(examples=["img_06g8q2vd7tqk5c3h0f9sm1n4bo"]), AfterValidator(known_form(_IMAGE_ID, "image"))
]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the headers of a submission ask for."""

    idempotency_key: str | None = None
    wait_seconds: int = 0
    deadline_seconds: int | None = None


async def read_wish(
    idempotency_key: Annotated[
        str | None, Header(description="The same request sent again with the same key is answered, not done again.")
    ] = None,
    prefer: Annotated[
        str | None, Header(description="`wait=n`: answer once the job is done, at the latest after n ≤ 60 seconds.")
    ] = None,
    cancel_after: Annotated[
        int | None, Header(ge=1, le=_MAX_DEADLINE_SECONDS, description="Seconds after which the job expires.")
    ] = None,
) -> Wish:
    """Checks the headers; a preference that is not understood is ignored (RFC 7240)."""
    wait = _WAIT.search(prefer or "")
    return Wish(
        idempotency_key=None if idempotency_key is None else parse_key(idempotency_key),
        wait_seconds=0 if wait is None else min(int(wait[1] or MAX_WAIT_SECONDS), MAX_WAIT_SECONDS),
        deadline_seconds=cancel_after,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a caller who may make it."""

    request: Request
    ports: Ports
    owner: Tenant
    wish: Wish = field(default_factory=Wish)

    @property
    def tenant(self) -> str:
        """The caller's."""
        return self.owner.name

    @property
    def limits(self) -> Limits:
        """What holds for the caller's tenant."""
        return limits_of(self.ports.settings, self.owner)

    def order(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        webhook: Mapping[str, Any] | None = None,
        remember: Remember[Job] | None = None,
    ) -> Order:
        """What every submission of this call carries."""
        return Order(
            tenant=self.tenant,
            metadata=metadata or {},
            webhook=webhook,
            limits=self.limits,
            request_id=self.request.state.request_id,
            remember=remember,
            deadline_seconds=self.wish.deadline_seconds,
            max_attempts=self.ports.settings.max_attempts,
        )


def _calling(scope: Scope) -> Callable[[Request, HTTPAuthorizationCredentials | None], Awaitable[Call]]:
    """The dependency that makes the call of a caller whose key has this scope."""

    async def call(request: Request, credentials: _Credentials) -> Call:
        caller = await get_caller(request, credentials)
        if scope not in caller.key.scopes:
            raise AppError(ErrorCode.SCOPE_MISSING, f"This API key lacks the scope {scope}.", scope=scope)
        return Call(request=request, ports=request.state.ports, owner=caller.tenant)

    return call


def _posting(scope: Scope) -> Callable[[Call, Wish], Awaitable[Call]]:
    """The same with what the headers of a submission ask for."""

    async def post(call: Annotated[Call, Depends(_calling(scope))], wish: Annotated[Wish, Depends(read_wish)]) -> Call:
        return replace(call, wish=wish)

    return post


Reading = Annotated[Call, Depends(_calling(Scope.JOBS_READ))]
Writing = Annotated[Call, Depends(_calling(Scope.JOBS_WRITE))]
Administering = Annotated[Call, Depends(_calling(Scope.ADMIN))]
Posting = Annotated[Call, Depends(_posting(Scope.JOBS_WRITE))]
PostingAdmin = Annotated[Call, Depends(_posting(Scope.ADMIN))]
PostingBatches = Annotated[Call, Depends(_posting(Scope.BATCHES_WRITE))]
