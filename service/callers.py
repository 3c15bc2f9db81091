"""Whose a request is. The database is asked once a second for each key, not for each request."""

import time
from typing import Final, final

from starlette.concurrency import run_in_threadpool

from core.domain.ports import Database
from core.domain.tenants import Caller
from core.usecases.keys import authenticate

# A key that is revoked, and a tenant whose limits are changed, elsewhere is met as it was for so long.
KNOWN_SECONDS: Final = 1.0
_MOST_KNOWN = 1024


@final
class Callers:
    """The callers whose keys this process has seen lately. What this process itself changes it forgets at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Caller]] = {}  # by token, until when

    async def find(self, token: str) -> Caller:
        """The key a token belongs to, and its tenant.

        Raises:
            AppError: UNAUTHENTICATED, of which nothing is remembered.
        """
        now, known = time.monotonic(), self._known
        until, caller = known.get(token, (now, None))
        if caller is not None and now < until:
            return caller
        caller = await run_in_threadpool(authenticate, self._database, token)
        if len(known) >= _MOST_KNOWN:
            known.clear()
        # Where something was forgotten meanwhile, what was asked before may be out of date: nobody reads this dict.
        known[token] = (now + KNOWN_SECONDS, caller)
        return caller

    def forget(self) -> None:
        """Keys or tenants have been changed."""
        self._known = {}
