"""A request sent twice with one key is done once."""

from datetime import timedelta

import pytest

from core.domain.access import IdempotencyRecord
from core.domain.errors import ErrorCode, InputError
from core.domain.ports import Database
from core.usecases.idempotency import find_answer, parse_key

RECORD = IdempotencyRecord(tenant="acme", key="k", fingerprint="f", status=202, body={"id": "inv_1"})


def _keep(database: Database, record: IdempotencyRecord = RECORD) -> None:
    with database.begin() as uow:
        uow.idempotency.add(record)
        uow.commit()


def test_the_first_answer_is_given_again(database: Database) -> None:
    _keep(database)

    assert find_answer(database, "acme", key="k", fingerprint="f") == RECORD


def test_a_key_belongs_to_its_tenant(database: Database) -> None:
    _keep(database)

    assert find_answer(database, "other", key="k", fingerprint="f") is None


def test_another_request_with_the_key_is_refused(database: Database) -> None:
    _keep(database)

    with pytest.raises(InputError) as refused:
        find_answer(database, "acme", key="k", fingerprint="g")

    assert refused.value.code == ErrorCode.IDEMPOTENCY_MISMATCH


def test_old_answers_are_forgotten(database: Database) -> None:
    _keep(database)

    with database.begin() as uow:
        kept = uow.idempotency.forget(older_than=timedelta(days=7))
        gone = uow.idempotency.forget(older_than=timedelta(seconds=-1))
        uow.commit()

    assert (kept, gone) == (0, 1)


@pytest.mark.parametrize("header", ["abc-123", '"abc-123"', "  abc-123 "])
def test_a_key_may_be_quoted_or_bare(header: str) -> None:
    assert parse_key(header) == "abc-123"


@pytest.mark.parametrize("header", ["", '""', "a b", "é", "x" * 256, "a\x00b"])
def test_a_faulty_key_is_refused(header: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_key(header)

    assert refused.value.code == ErrorCode.IDEMPOTENCY_KEY_INVALID
