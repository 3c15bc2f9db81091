"""One batch through the whole service: sent, followed or canceled, and checked item by item."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from sqlalchemy import ColumnElement, Engine, func, select

from core.domain.job import JobState
from core.domain.watching import EventKind
from core.storage.database import make_engine
from core.storage.tables import events, jobs
from stylediffusion.client import Client
from tests.load.items import Item, Scene, envelope, make_items
from tests.load.stack import Stack

_PAUSE_SECONDS: Final = 0.2


@final
@dataclass(frozen=True, slots=True)
class Order:
    """How large a batch is."""

    items: int
    images: int
    bad: int
    timesteps: int


@final
@dataclass(slots=True)
class Run:
    """What became of a batch; `results` are its last lines by the items' place, `seconds` since it was sent."""

    items: Sequence[Item]
    batch_id: str
    upload_seconds: float
    accept_seconds: float
    results: dict[int, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    early: int = 0  # results that were read before the batch had ended
    first_seconds: float = 0.0
    seconds: float = 0.0

    def wrong(self) -> list[str]:
        """A sentence for every item that is not as it should be."""
        return [
            f"item {number}: {found}"
            for number, item in enumerate(self.items)
            if (found := _fault(item, self.results.get(number))) is not None
        ]

    def codes(self) -> dict[str, int]:
        """How often each code explains a failure."""
        found: dict[str, int] = {}
        for result in self.results.values():
            if result["error"] is not None:
                code = result["error"]["code"]
                found[code] = found.get(code, 0) + 1
        return dict(sorted(found.items()))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """What a canceled batch came to.

    Attempts are counted that began before and after the cancellation was answered; from there to the batch's end it
    took `stop_seconds`.
    """

    counts: dict[str, int]
    stop_seconds: float
    begun_before: int
    begun_after: int


def send(client: Client, order: Order, scenes: Sequence[Scene]) -> Run:
    """Sends the pictures one by one, then one batch of all items."""
    began_at = time.monotonic()
    image_ids = [client.keep_image(scene.picture) for scene in scenes]
    items = make_items(order.items, scenes, image_ids, bad=order.bad)
    sent_at = time.monotonic()
    batch = client.send_batch(b"\n".join([envelope(order.timesteps), *(item.line for item in items)]))
    return Run(items, batch.id, sent_at - began_at, time.monotonic() - sent_at)


def follow(client: Client, run: Run) -> None:
    """Reads results as they appear, and every picture, until the batch has ended."""
    began_at, after = time.monotonic(), 0
    while True:
        # Read before the results, so that nothing can come between the last of them and the end.
        batch = client.get_batch(run.batch_id)
        for line in client.batch_results(run.batch_id, after=after):
            after = line["sequence"]
            line["picture"] = _fetch(client, line)
            run.results[line["index"]] = line
            run.first_seconds = run.first_seconds or time.monotonic() - began_at
        if batch.state == "ended":
            break
        run.early = len(run.results)
        time.sleep(_PAUSE_SECONDS)
    run.counts, run.seconds = batch.request_counts, time.monotonic() - began_at


def cancel_at(stack: Stack, client: Client, run: Run, *, done: int, watch_seconds: float) -> Canceled:
    """Cancels a batch once so many of its items have succeeded, and watches what starts until long after its end."""
    while client.get_batch(run.batch_id).request_counts["succeeded"] < done:
        time.sleep(_PAUSE_SECONDS)
    began_at = time.monotonic()
    client.cancel_batch(run.batch_id)
    engine = make_engine(stack.database_url)
    try:
        with engine.connect() as connection:
            answered_at = connection.execute(select(func.clock_timestamp())).scalar_one()
        while (batch := client.get_batch(run.batch_id)).state != "ended":
            time.sleep(_PAUSE_SECONDS / 10)
        stop_seconds = time.monotonic() - began_at
        time.sleep(watch_seconds)
        return Canceled(
            counts=batch.request_counts,
            stop_seconds=stop_seconds,
            begun_before=_begun(engine, run.batch_id, events.c.at <= answered_at),
            begun_after=_begun(engine, run.batch_id, events.c.at > answered_at),
        )
    finally:
        engine.dispose()


def _begun(engine: Engine, batch_id: str, when: ColumnElement[bool]) -> int:
    """Attempts at jobs of a batch."""
    begun = (
        select(func.count())
        .select_from(events.join(jobs, jobs.c.id == events.c.job_id))
        .where(jobs.c.batch_id == batch_id, events.c.kind == EventKind.STATE, events.c.state == JobState.RUNNING)
        .where(when)
    )
    with engine.connect() as connection:
        return int(connection.execute(begun).scalar_one())


def _fetch(client: Client, line: dict[str, Any]) -> bool:
    """Whether the edited picture is there, byte by byte as it was announced."""
    for artifact in line["artifacts"]:
        if artifact["name"] == "image":
            data = client.artifact(line["job_id"], "image")
            return bool(hashlib.sha256(data).hexdigest() == artifact["sha256"])
    return False


def _fault(item: Item, result: dict[str, Any] | None) -> str | None:
    if result is None:
        return "it has no result"
    if item.code is None:
        good = result["state"] == "succeeded" and result["picture"]
        return None if good else f"it should have succeeded: {json.dumps(result)}"
    error = result["error"]
    explained = result["state"] == "failed" and error is not None and error["code"] == item.code and error["detail"]
    return None if explained else f"it should have failed with {item.code}: {json.dumps(result)}"
