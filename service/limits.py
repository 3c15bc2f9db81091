"""How often a tenant may ask: counted over a sliding minute, in Redis where there is one, else in this process."""

import math
import time
from dataclasses import dataclass, replace
from typing import final

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import RateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.domain.errors import ErrorCode, Exhausted
from core.domain.tenants import Tenant
from core.settings import Settings
from core.usecases.limits import Limits

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger("service")
_PATIENCE_SECONDS = 0.2  # Redis answers in a millisecond; a request does not wait for one that does not
_CONNECTIONS = 16  # each is needed for a millisecond; whoever finds none free waits
_REST_SECONDS = 10.0  # so long a Redis that failed is left alone, and this process counts for itself
_TOLD_SECONDS = 1.0  # so long what is left is told by what this process knows; whether a request may pass never is
_POLICY = "requests"
_WINDOW_SECONDS = 60


@final
@dataclass(frozen=True, slots=True)
class Left:
    """What a tenant has left of a minute."""

    quota: int
    remaining: int
    reset_seconds: int

    def headers(self) -> dict[str, str]:
        """As `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11)."""
        return {
            "RateLimit-Policy": f'"{_POLICY}";q={self.quota};w={_WINDOW_SECONDS}',
            "RateLimit": f'"{_POLICY}";r={self.remaining};t={self.reset_seconds}',
        }


@final
class RateLimits:
    """Counts requests by tenant. With Redis the replicas count together; without an answer each counts for itself."""

    def __init__(self, settings: Settings) -> None:
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool = None if settings.redis_url is None else _pool(settings.redis_url.get_secret_value())
        self._shared = None if self._pool is None else _in_redis(self._pool)
        self._rest_until = 0.0
        self._told: dict[str, tuple[float, Left]] = {}  # by tenant, until when

    async def take(self, tenant: str, quota: int) -> Left:
        """One request of this tenant.

        Raises:
            Exhausted: RATE_LIMITED.
        """
        if self._shared is not None and time.monotonic() >= self._rest_until:
            try:
                return await self._take(self._shared, tenant, quota)
            except StorageError:
                self._rest_until = time.monotonic() + _REST_SECONDS
                self._told.clear()
                _LOG.warning("requests are counted without Redis", seconds=_REST_SECONDS)
        return await self._take(self._here, tenant, quota)

    async def close(self) -> None:
        """Gives up every connection."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _take(self, limiter: RateLimiter, tenant: str, quota: int) -> Left:
        item = RateLimitItemPerMinute(quota)
        passed = await limiter.hit(item, tenant)
        now = time.monotonic()
        until, told = self._told.get(tenant, (now, None))
        if passed and told is not None and told.quota == quota and now < until:
            left = replace(told, remaining=max(told.remaining - 1, 0))
        else:
            stats = await limiter.get_window_stats(item, tenant)
            reset_seconds = min(max(1, math.ceil(stats.reset_time - time.time())), _WINDOW_SECONDS)
            until = now + _TOLD_SECONDS
            left = Left(quota=quota, remaining=stats.remaining, reset_seconds=reset_seconds)
        self._told[tenant] = until, left
        if not passed:
            raise Exhausted(
                ErrorCode.RATE_LIMITED,
                f"You may ask {quota} times a minute; ask again in {left.reset_seconds} seconds.",
                policy=_POLICY,
                quota=quota,
                window_seconds=_WINDOW_SECONDS,
                retry_after_seconds=left.reset_seconds,
            )
        return left


@final
class RateLimitHeaders:
    """Adds what is left to every answer that was counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            left = scope.get("state", {}).get("left")
            if message["type"] == "http.response.start" and isinstance(left, Left):
                for name, value in left.headers().items():
                    MutableHeaders(scope=message).append(name, value)
            await send(message)

        await self._app(scope, receive, answer)


def limits_of(settings: Settings, tenant: Tenant) -> Limits:
    """The tenant's own limits, and the deployment's where it has none."""
    return Limits(
        requests_per_minute=tenant.requests_per_minute or settings.requests_per_minute,
        max_unfinished_jobs=tenant.max_unfinished_jobs or settings.max_unfinished_jobs,
        compute_seconds_per_day=tenant.compute_seconds_per_day or settings.compute_seconds_per_day,
    )


def _pool(redis_url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        redis_url,
        max_connections=_CONNECTIONS,
        timeout=_PATIENCE_SECONDS,
        socket_timeout=_PATIENCE_SECONDS,
        socket_connect_timeout=_PATIENCE_SECONDS,
    )


def _in_redis(pool: BlockingConnectionPool) -> RateLimiter:
    storage = RedisStorage(
        "async+redis://",  # the pool knows the address
        implementation="redispy",
        wrap_exceptions=True,
        key_prefix="stylediffusion-limits",
        connection_pool=pool,  # type: ignore[arg-type]  # documented, and not in the annotation
    )
    return SlidingWindowCounterRateLimiter(storage)
