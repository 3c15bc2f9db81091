"""API keys are shown once, kept as hashes, and refused without a hint."""

from datetime import timedelta

import pytest

from core.domain.errors import AppError, ErrorCode, InputError, NotFound
from core.domain.ports import Database
from core.usecases.keys import CALLER_SCOPES, Scope, authenticate, list_keys, make_key, revoke_key, rotate_key


def test_a_token_opens_its_key(database: Database) -> None:
    key, token = make_key(database, "acme", name="laptop")

    found = authenticate(database, token).key

    assert (found.id, found.tenant, found.scopes) == (key.id, "acme", CALLER_SCOPES)
    assert token.startswith("sk_")


def test_the_secret_is_nowhere_in_the_database(database: Database) -> None:
    _, token = make_key(database, "acme", name="laptop")

    secret = token.rpartition("_")[2]
    assert len(secret) * 4 >= 128
    assert all(secret not in str(key) for key in list_keys(database))


@pytest.mark.parametrize("fault", ["", "sk_", "nonsense", "sk_short_secret", "other id", "other secret", "longer"])
def test_a_wrong_token_is_refused(database: Database, fault: str) -> None:
    _, token = make_key(database, "acme", name="laptop")
    _, other = make_key(database, "acme", name="phone")
    head, _, secret = token.rpartition("_")
    wrong = {
        "other id": f"{other.rpartition('_')[0]}_{secret}",
        "other secret": f"{head}_{'0' * len(secret)}",
        "longer": token + "0",
    }.get(fault, fault)

    with pytest.raises(AppError) as refused:
        authenticate(database, wrong)

    assert refused.value.code == ErrorCode.UNAUTHENTICATED


def test_a_revoked_key_is_refused(database: Database) -> None:
    key, token = make_key(database, "acme", name="laptop")
    revoke_key(database, key.id)
    revoke_key(database, key.id)

    with pytest.raises(AppError):
        authenticate(database, token)


def test_an_expired_key_is_refused(database: Database) -> None:
    _, token = make_key(database, "acme", name="laptop", days=-1)

    with pytest.raises(AppError):
        authenticate(database, token)


def test_a_key_exchanged_twice_hands_on_its_whole_lifetime(database: Database) -> None:
    old, _ = make_key(database, "acme", name="laptop", days=30)

    made = [rotate_key(database, old.id, overlap=timedelta(hours=1))[0] for _ in range(2)]

    assert [key.expires_at and key.expires_at - key.created_at for key in made] == [timedelta(days=30)] * 2


@pytest.mark.parametrize("days", [None, 30])
def test_a_key_that_was_exchanged_ends_with_its_overlap(database: Database, days: float | None) -> None:
    old, token = make_key(database, "acme", name="laptop", days=days)
    rotate_key(database, old.id, overlap=timedelta(hours=1))
    going_on = authenticate(database, token).key

    assert going_on.ends_at is not None
    assert timedelta(0) < going_on.ends_at - old.created_at < timedelta(hours=2)
    rotate_key(database, old.id, overlap=timedelta(0))
    with pytest.raises(AppError):
        authenticate(database, token)


def test_a_key_that_expires_within_its_overlap_ends_then(database: Database) -> None:
    old, token = make_key(database, "acme", name="laptop", days=1)
    rotate_key(database, old.id, overlap=timedelta(days=2))

    assert authenticate(database, token).key.ends_at == old.expires_at


def test_a_use_is_noted(database: Database) -> None:
    key, token = make_key(database, "acme", name="laptop")

    authenticate(database, token)
    authenticate(database, token)

    (noted,) = list_keys(database, "acme")
    assert noted.last_used_at is not None
    assert noted.last_used_at - key.created_at < timedelta(minutes=1)


def test_keys_are_listed_by_tenant(database: Database) -> None:
    first, _ = make_key(database, "acme", name="a")
    second, _ = make_key(database, "other", name="b", scopes=[Scope.ADMIN])

    assert [key.id for key in list_keys(database)] == [first.id, second.id]
    assert [key.id for key in list_keys(database, "other")] == [second.id]


def test_an_unknown_key_cannot_be_revoked(database: Database) -> None:
    with pytest.raises(NotFound):
        revoke_key(database, "key_none")


@pytest.mark.parametrize("tenant", ["", "Acme", "../acme", "a/b", "-acme", "a" * 64])
def test_a_tenant_s_name_is_safe_in_a_path(database: Database, tenant: str) -> None:
    with pytest.raises(InputError) as refused:
        make_key(database, tenant, name="x")

    assert refused.value.errors[0].pointer == "/tenant"
