"""How often and for how long a delivery is tried, and who takes which."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from core.domain.ports import Database
from core.domain.web import WebAnswer
from core.domain.webhooks import Delivery, DeliveryState, WebhookEvent
from core.usecases.webhooks import add_endpoint, claim_due, deliver
from tests.stack.fakes import SUCCESS, add_job, claim, finish


class Refusing:
    """Implements `Web`; no host is there."""

    def __init__(self, retry_after: str = "60") -> None:
        self.ids: list[str] = []
        self._retry_after = retry_after

    def check(self, url: str) -> None:
        return

    def get(self, url: str, *, max_bytes: int) -> bytes:
        raise NotImplementedError

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> WebAnswer:
        self.ids.append(headers["webhook-id"])
        return WebAnswer(status=503, retry_after=self._retry_after)

    def close(self) -> None:
        return


def test_there_are_ten_tries_over_three_days(database: Database) -> None:
    web, waits = Refusing(), []
    delivery = _pending(database, web)
    while True:
        outcome = deliver(database, web, delivery)
        if outcome.next_at is None:
            break
        with database.read() as uow:
            waits.append(outcome.next_at - uow.now())
            noted = uow.webhooks.get("acme", delivery.id)
        assert noted is not None
        delivery = noted

    # The host asks for a minute where the schedule has five seconds; up to a tenth is added, and the test takes time.
    schedule = [60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert all(0.95 < wait.total_seconds() / planned < 1.11 for wait, planned in zip(waits, schedule, strict=True))
    assert outcome.state is DeliveryState.FAILED
    assert web.ids == [delivery.id] * 10


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (lambda now: format_datetime(now + timedelta(minutes=10), usegmt=True), 600),
        (lambda now: (now + timedelta(minutes=10)).strftime("%A, %d-%b-%y %H:%M:%S GMT"), 600),
        (lambda now: (now + timedelta(minutes=10)).strftime("%a %b %d %H:%M:%S %Y"), 600),
        (lambda now: format_datetime(now - timedelta(days=1), usegmt=True), 5),
        (lambda now: format_datetime(now + timedelta(days=400), usegmt=True), 86400),
        (lambda _: "Wed, 99 Foo 2026 99:99:99 GMT", 5),
        (lambda _: "soon", 5),
    ],
)
def test_a_host_may_ask_to_be_left_alone_until_a_date(
    database: Database, asked: Callable[[datetime], str], seconds: float
) -> None:
    now = datetime.now(UTC)
    web = Refusing(asked(now))

    outcome = deliver(database, web, _pending(database, web))

    assert outcome.next_at is not None
    # A date has whole seconds, the schedule adds up to a tenth, and the test takes time.
    assert -1.5 < (outcome.next_at - now).total_seconds() - seconds < 5


def _pending(database: Database, web: Refusing) -> Delivery:
    add_endpoint(database, web, "acme", url="https://example.com/", events=WebhookEvent)
    add_job(database)
    finish(database, claim(database), SUCCESS)
    (delivery,) = claim_due(database, limit=5, per_tenant=5, busy=())
    return delivery


def test_a_delivery_that_was_taken_is_not_taken_again(database: Database) -> None:
    _pending(database, Refusing())

    assert not claim_due(database, limit=5, per_tenant=5, busy=())


def test_a_tenant_with_many_due_leaves_room_for_others(database: Database) -> None:
    for tenant, count in (("acme", 5), ("other", 1)):
        add_endpoint(database, Refusing(), tenant, url="https://x.com/", events=WebhookEvent)
        for _ in range(count):
            add_job(database, tenant=tenant)
    for _ in range(6):
        finish(database, claim(database), SUCCESS)

    taken = claim_due(database, limit=3, per_tenant=2, busy=())
    rest = claim_due(database, limit=9, per_tenant=9, busy=["acme"])
    assert sorted(delivery.tenant for delivery in taken) == ["acme", "acme", "other"]
    assert not rest
