"""The statements that a request sends to its database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import structlog
from sqlalchemy import event

from core.storage.database import SqlDatabase
from tests.service.harness import Harness


@contextmanager
def counted(service: Harness) -> Iterator[list[str]]:
    """The statements of requests, not of what the process does besides answering, in their order."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        if "request_id" in structlog.contextvars.get_contextvars():
            statements.append(statement)

    engine = cast(SqlDatabase, service.ports.database).engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)
