"""The repositories of API keys and of idempotency records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, final

from sqlalchemy import RowMapping, and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.domain.access import ApiKey, IdempotencyRecord
from core.domain.errors import Conflict, ErrorCode
from core.domain.tenants import Caller, KeyFilter, Tenant
from core.storage.tables import api_keys, idempotency
from core.storage.tenant_tables import tenants
from core.storage.transaction import Transaction

_ALLOWED = [column for column in tenants.c if column is not tenants.c.name]
_WITH_TENANT = select(api_keys, *_ALLOWED).outerjoin(tenants, tenants.c.name == api_keys.c.tenant)
_CALLER = _WITH_TENANT.where(api_keys.c.id == bindparam("key_id"))


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

    def find(self, key_id: str) -> Caller | None:
        row = self._tx.one_with_clock(_CALLER, {"key_id": key_id})
        if row is None:
            return None
        allowed = {column.name: row[column.name] for column in _ALLOWED}
        tenant = Tenant(name=row["tenant"], **{**allowed, "fetch_urls": bool(allowed["fetch_urls"])})
        return Caller(key=_to_key({column.name: row[column.name] for column in api_keys.c}), tenant=tenant)

    def list(self, query: KeyFilter) -> Sequence[ApiKey]:
        columns = api_keys.c
        rows = select(api_keys).order_by(columns.created_at, columns.id).limit(query.limit)
        if query.tenant is not None:
            rows = rows.where(columns.tenant == query.tenant)
        if query.after is not None:
            created_at, key_id = query.after
            same_time = and_(columns.created_at == created_at, columns.id > key_id)
            rows = rows.where(or_(columns.created_at > created_at, same_time))
        return [_to_key(row) for row in self._tx.connection.execute(rows).mappings()]

    def revoke(self, key_id: str) -> bool:
        revoked_at = func.coalesce(api_keys.c.revoked_at, self._tx.now())
        changed = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked_at)
        return self._tx.connection.execute(changed).rowcount == 1

    def retire(self, key_id: str, *, at: datetime) -> None:
        later = or_(api_keys.c.retired_at.is_(None), api_keys.c.retired_at > at)
        self._tx.connection.execute(update(api_keys).where(api_keys.c.id == key_id, later).values(retired_at=at))

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


def _to_key(row: Mapping[str, Any] | RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"])})
