"""A request sent twice with one Idempotency-Key is done once."""

import re
from collections.abc import Callable
from typing import TypeVar

from core.domain.access import IdempotencyRecord
from core.domain.errors import ErrorCode, InputError
from core.domain.ports import Database, UnitOfWork

Made = TypeVar("Made")
Remember = Callable[[Made], IdempotencyRecord]  # the record of the answer that tells what was made

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def parse_key(header: str) -> str:
    """The key from the header's value, which may be quoted or bare.

    Raises:
        InputError: IDEMPOTENCY_KEY_INVALID.
    """
    value = header.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not _KEY.fullmatch(value):
        raise InputError(
            ErrorCode.IDEMPOTENCY_KEY_INVALID,
            "An Idempotency-Key has 1 to 255 visible ASCII characters, bare or quoted.",
        )
    return value


def find_answer(database: Database, tenant: str, *, key: str, fingerprint: str) -> IdempotencyRecord | None:
    """The first answer to this request; None when it is new.

    Raises:
        InputError: IDEMPOTENCY_MISMATCH: the key was used for another request.
    """
    with database.read() as uow:
        record = uow.idempotency.get(tenant, key)
    if record is not None and record.fingerprint != fingerprint:
        raise InputError(
            ErrorCode.IDEMPOTENCY_MISMATCH, "This Idempotency-Key was used for another request; use a new one."
        )
    return record


def keep_with(uow: UnitOfWork, made: Made, remember: Remember[Made] | None) -> None:
    """Keeps the answer in the commit of what it tells, so that neither is there without the other.

    Raises:
        Conflict: IDEMPOTENCY_IN_FLIGHT: another request with this key was first; nothing is to be made.
    """
    if remember is not None:
        uow.idempotency.add(remember(made))


def keep_answer(database: Database, record: IdempotencyRecord) -> None:
    """Keeps the first answer to a request that may safely be done twice.

    Raises:
        Conflict: IDEMPOTENCY_IN_FLIGHT: there is one already, and it stays.
    """
    with database.begin() as uow:
        uow.idempotency.add(record)
        uow.commit()
