"""API keys: made, checked, listed and revoked; the secret is shown once and kept as a hash."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import StrEnum

from core.domain.access import ApiKey
from core.domain.errors import AppError, ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import IdPrefix, new_id
from core.domain.ports import Database

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
    database: Database, tenant: str, *, name: str, scopes: Iterable[Scope] = CALLER_SCOPES, days: float | None = None
) -> tuple[ApiKey, str]:
    """A new key and its token, which cannot be read again.

    Raises:
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
        uow.keys.add(key)
        uow.commit()
    return key, f"sk_{key_id.removeprefix('key_')}_{secret}"


def authenticate(database: Database, token: str) -> ApiKey:
    """The key a token belongs to.

    Raises:
        AppError: UNAUTHENTICATED, the same for an unknown, revoked or expired key.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise _refused()
    with database.read() as uow:
        key, now = uow.keys.get(f"key_{match[1]}"), uow.now()
    # An unknown id is compared too, so that the time taken tells nothing.
    expected = _sha256("") if key is None else key.secret_sha256
    genuine = hmac.compare_digest(_sha256(match[2]), expected)
    if key is None or not genuine or key.revoked_at is not None:
        raise _refused()
    if key.expires_at is not None and key.expires_at <= now:
        raise _refused()
    if key.last_used_at is None or now - key.last_used_at > _TOUCH_AFTER:
        with database.begin() as uow:
            uow.keys.touch(key.id)
            uow.commit()
    return key


def list_keys(database: Database, tenant: str | None = None) -> Sequence[ApiKey]:
    """Every key, or those of one tenant, oldest first."""
    with database.read() as uow:
        return uow.keys.list(tenant)


def revoke_key(database: Database, key_id: str) -> None:
    """The key is refused from now on; revoking twice is no error.

    Raises:
        NotFound: there is no such key.
    """
    with database.begin() as uow:
        if not uow.keys.revoke(key_id):
            raise NotFound(f"There is no key {key_id}.")
        uow.commit()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refused() -> AppError:
    return AppError(ErrorCode.UNAUTHENTICATED, "The API key is missing, unknown, expired or revoked.")
