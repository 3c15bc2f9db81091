"""What the oracle may look at: the database, the object store, the webhook sink, and what the callers were answered."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, final

from sqlalchemy import Engine, text

from core.domain.errors import AppError
from core.domain.ports import Database, ObjectStore
from core.usecases.sweep import clear_uploads, tidy
from tests.chaos.history import Change, read_history, to_moment
from tests.chaos.ledger import Ledger
from tests.chaos.monkey import Deed
from tests.chaos.sink import Sink
from tests.chaos.stack import Pace

_AT_ONCE = 8
_JOBS = (
    "SELECT id, tenant, kind, state, seed, fence, attempt, max_attempts, depends_on, leader, batch_id, inputs, "
    "parameters, artifacts, error, metadata, webhook, deadline_at FROM jobs"
)
_DELIVERIES = "SELECT id, subject_id, state, tries FROM webhook_deliveries"
_BATCHES = "SELECT id, ended_at, webhook, total, succeeded FROM batches"

Row = Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run, once it is over."""

    jobs: Mapping[str, Row]
    batches: Mapping[str, Row]
    deliveries: Sequence[Row]
    images: Mapping[str, bytes]  # by id
    history: Sequence[Change]
    objects: Mapping[str, tuple[int, str] | None]  # what artifacts name: size and digest, None where nothing is there
    strays: Sequence[str]  # keys that no row names, after whatever was left over was cleared away
    sink: Sink
    ledger: Ledger
    deeds: Sequence[Deed]
    pace: Pace
    workers: int


def gather(database: Database, engine: Engine, store: ObjectStore, *, ledger: Ledger, **more: Any) -> Evidence:
    """Reads everything, then has leftovers cleared away as the sweeper would within an hour."""
    history = read_history(engine)
    jobs = {row["id"]: row for row in _read(engine, _JOBS)}
    images = {row["id"]: row["key"] for row in _read(engine, "SELECT id, key FROM images")}
    with engine.begin() as connection:
        connection.execute(text("UPDATE uploads SET expires_at = created_at"))
    while tidy(database, store, ended_for=timedelta(0)) or clear_uploads(database, store):
        continue
    named = {artifact["key"] for job in jobs.values() for artifact in job["artifacts"]}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(sorted(named), pool.map(lambda key: _measure(store, key), sorted(named)), strict=True))
    return Evidence(
        jobs=jobs,
        batches={row["id"]: row for row in _read(engine, _BATCHES)},
        deliveries=_read(engine, _DELIVERIES),
        images={image_id: store.get(key) for image_id, key in images.items()},
        history=history,
        objects=found,
        strays=sorted(set(store.list("")) - named - set(images.values())),
        ledger=ledger,
        **more,
    )


def count_unfinished(engine: Engine) -> int:
    """Jobs that have not ended, and batches that have not."""
    query = "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NULL) + "
    query += "(SELECT count(*) FROM batches WHERE ended_at IS NULL)"
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def count_changes(engine: Engine) -> int:
    """How many changes of state the history has."""
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM chaos_history WHERE state_before IS NULL OR state <> state_before")
        return int(connection.execute(query).scalar_one())


def _read(engine: Engine, query: str) -> list[Row]:
    with engine.connect() as connection:
        rows = connection.execute(text(query)).mappings().all()
    return [{name: _document(name, value) for name, value in row.items()} for row in rows]


def _document(name: str, value: object) -> object:
    """SQLite gives documents and moments as text."""
    if name == "deadline_at":
        return to_moment(value)
    documents = {"inputs", "parameters", "artifacts", "error", "metadata", "webhook"}
    return json.loads(value) if name in documents and isinstance(value, str) else value


def _measure(store: ObjectStore, key: str) -> tuple[int, str] | None:
    try:
        data = store.get(key)
    except AppError:
        return None
    return len(data), hashlib.sha256(data).hexdigest()
