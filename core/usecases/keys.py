"""API keys: made, checked, listed and revoked; the secret is shown once and kept as a hash."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from core.domain.access import ApiKey
from core.domain.errors import AppError, ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.ports import Database
from core.domain.tenants import Caller, KeyFilter
from core.usecases.idempotency import Remember, keep_with

# A use is noted at most this often, so that reading does not mean writing.
_TOUCH_AFTER = timedelta(minutes=1)
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SECRET_BYTES = 20  # 160 bits
_TOKEN = re.compile(r"sk_([0-9a-v]{26})_([0-9a-f]{40})")


class Scope(StrEnum):
    """What a key may do."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    BATCHES_WRITE = "batches:write"
    ADMIN = "admin"


CALLER_SCOPES = frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.BATCHES_WRITE})


def make_key(
    database: Database,
    tenant: str,
    *,
    name: str,
    scopes: Iterable[Scope] = CALLER_SCOPES,
    days: float | None = None,
    remember: Remember[ApiKey] | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its token, which cannot be read again.

    Raises:
        Conflict: IDEMPOTENCY_IN_FLIGHT.
        InputError: the tenant's name is not 1 to 63 of a-z, 0-9, _ and -, or begins with one of the last two.
    """
    if not _TENANT.fullmatch(tenant):
        detail = "A tenant's name has 1 to 63 characters of a-z, 0-9, _ and -, and begins with a letter or digit."
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError(pointer="/tenant", detail=detail),))
    key_id, secret = new_id(IdPrefix.KEY), secrets.token_hex(_SECRET_BYTES)
    with database.begin() as uow:
        now = uow.now()
        key = ApiKey(
            id=key_id,
            tenant=tenant,
            name=name,
            secret_sha256=_sha256(secret),
            scopes=frozenset(scopes),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        uow.tenants.ensure(tenant)
        uow.keys.add(key)
        keep_with(uow, key, remember)
        uow.commit()
    return key, _token(key_id, secret)


def authenticate(database: Database, token: str) -> Caller:
    """The key a token belongs to, and its tenant.

    Raises:
        AppError: UNAUTHENTICATED, the same for an unknown, revoked or expired key.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise _refused()
    with database.read() as uow:
        caller, now = uow.keys.find(f"key_{match[1]}"), uow.now()
    key = None if caller is None else caller.key
    # An unknown id is compared too, so that the time taken tells nothing.
    expected = _sha256("") if key is None else key.secret_sha256
    genuine = hmac.compare_digest(_sha256(match[2]), expected)
    if caller is None or key is None or not genuine or not key.valid_at(now):
        raise _refused()
    if key.last_used_at is None or now - key.last_used_at > _TOUCH_AFTER:
        with database.begin() as uow:
            uow.keys.touch(key.id)
            uow.commit()
    return caller


def list_keys(database: Database, tenant: str | None = None) -> Sequence[ApiKey]:
    """Every key, or those of one tenant, oldest first."""
    with database.read() as uow:
        return uow.keys.list(KeyFilter(tenant=tenant))


def find_keys(database: Database, query: KeyFilter) -> Sequence[ApiKey]:
    """Oldest first; a page shorter than the limit is the last."""
    with database.read() as uow:
        return uow.keys.list(query)


def rotate_key(
    database: Database, key_id: str, *, overlap: timedelta, remember: Remember[ApiKey] | None = None
) -> tuple[ApiKey, str]:
    """A new key like an old one, and its token; the old one goes on for the overlap, or until it expires anyway.

    Raises:
        NotFound: there is no such key, or it is revoked or expired.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    secret = secrets.token_hex(_SECRET_BYTES)
    with database.begin() as uow:
        old, now = uow.keys.get(key_id), uow.now()
        if old is None or not old.valid_at(now):
            raise NotFound(f"There is no valid key {key_id}.")
        lifetime = None if old.expires_at is None else old.expires_at - old.created_at
        new = replace(
            old,
            id=new_id(IdPrefix.KEY),
            secret_sha256=_sha256(secret),
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            retired_at=None,
            last_used_at=None,
        )
        uow.keys.add(new)
        uow.keys.retire(key_id, at=now + overlap)
        keep_with(uow, new, remember)
        uow.commit()
    return new, _token(new.id, secret)


def revoke_key(database: Database, key_id: str) -> None:
    """The key is refused from now on; revoking twice is no error.

    Raises:
        NotFound: there is no such key.
    """
    with database.begin() as uow:
        if not uow.keys.revoke(key_id):
            raise NotFound(f"There is no key {key_id}.")
        uow.commit()


def _token(key_id: str, secret: str) -> str:
    return f"sk_{key_id.removeprefix('key_')}_{secret}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refused() -> AppError:
    return AppError(ErrorCode.UNAUTHENTICATED, "The API key is missing, unknown, expired or revoked.")
