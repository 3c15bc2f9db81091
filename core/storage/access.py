"""The repositories of API keys and of idempotency records."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import final

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.domain.access import ApiKey, IdempotencyRecord
from core.domain.errors import Conflict, ErrorCode
from core.storage.tables import api_keys, idempotency
from core.storage.transaction import Transaction


@final
class SqlKeys:
    """Implements `KeyRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def add(self, key: ApiKey) -> None:
        row = {**asdict(key), "scopes": sorted(key.scopes)}
        self._tx.connection.execute(insert(api_keys).values(**row))

    def get(self, key_id: str) -> ApiKey | None:
        row = self._tx.connection.execute(select(api_keys).where(api_keys.c.id == key_id)).mappings().one_or_none()
        return None if row is None else _to_key(row)

    def list(self, tenant: str | None = None) -> Sequence[ApiKey]:
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        if tenant is not None:
            query = query.where(api_keys.c.tenant == tenant)
        return [_to_key(row) for row in self._tx.connection.execute(query).mappings()]

    def revoke(self, key_id: str) -> bool:
        revoked_at = func.coalesce(api_keys.c.revoked_at, self._tx.now())
        changed = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked_at)
        return self._tx.connection.execute(changed).rowcount == 1

    def touch(self, key_id: str) -> None:
        used = update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=self._tx.now())
        self._tx.connection.execute(used)


@final
class SqlIdempotency:
    """Implements `IdempotencyRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def get(self, tenant: str, key: str) -> IdempotencyRecord | None:
        row = self._tx.connection.execute(
            select(idempotency).where(idempotency.c.tenant == tenant, idempotency.c.key == key)
        ).one_or_none()
        if row is None:
            return None
        return IdempotencyRecord(
            tenant=row.tenant, key=row.key, fingerprint=row.fingerprint, status=row.status, body=row.body
        )

    def add(self, record: IdempotencyRecord) -> None:
        try:
            self._tx.connection.execute(insert(idempotency).values(**asdict(record), created_at=self._tx.now()))
        except IntegrityError as error:
            raise Conflict(
                ErrorCode.IDEMPOTENCY_IN_FLIGHT,
                "Another request with this Idempotency-Key has just been accepted; ask again for its answer.",
            ) from error

    def forget(self, *, older_than: timedelta) -> int:
        old = delete(idempotency).where(idempotency.c.created_at < self._tx.now() - older_than)
        return self._tx.connection.execute(old).rowcount


def _to_key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"])})
