"""A database as it is after years: a million jobs, with what was noted of each."""

import json
from collections.abc import Mapping
from typing import Any, Final, final

from sqlalchemy import Connection, text

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.inversion_specs import InversionMethod, resolve_inversion
from core.storage.rows import model_key
from core.storage.tables import events, jobs
from tests.load.stack import TENANT

_DAYS: Final = 60  # over which they are spread; the older half has no artifacts any more
_UNFINISHED: Final = 5000

_QUALITY: Final = {
    "values": {f"measure_{n}": 0.123456789 * n for n in range(13)},
    "basis": {f"measure_{n}": "outside the measured region, against the source" for n in range(13)},
}
DOCUMENTS: Final[Mapping[str, Any]] = {
    "inputs": {
        "image_id": "img_" + "0" * 26,
        "source_prompt": "a large red circle on grass",
        "target_prompt": "a large blue circle on grass",
        "fit": "crop",
        "output": "original",
        "inversion_id": "inv_" + "0" * 26,
    },
    "inversion": resolve_inversion(InversionMethod.DDIM, {"timesteps": 10}, {"guidance": 3.0}).model_dump(mode="json"),
    "edit": resolve_edit(EditMethod.P2PLUS, {}).model_dump(mode="json"),
    "result": {"quality": _QUALITY, "plan": {"value_stop": 6}, "width": 64, "height": 64, "seed": 0},
    "artifacts": [
        {"name": name, "media_type": "image/png", "bytes": 4000, "sha256": "0" * 64, "key": f"platform/jobs/{name}.png"}
        for name in ("image", "mask")
    ],
    "metrics": {"queue_seconds": 1.5, "compute_seconds": 0.75, "unet_forwards": 36.0, "unet_backwards": 0.0},
}

# A fifth are inversions, and the four jobs after one are its edits; half of all came in batches; a fifth are TENANT's.
_JOBS: Final = """
WITH numbered AS (
    SELECT n, n / 5 AS family, n % 5 = 0 AS first, (n / 5) % 2 = 0 AS batched,
        now() - make_interval(secs => :seconds * (:rows - n) / :rows) AS at, n > :rows - :unfinished AS unfinished
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n
), stated AS (
    SELECT *, CASE
        WHEN unfinished AND first THEN 'queued' WHEN unfinished THEN 'waiting'
        WHEN n / 25 % 100 < 4 THEN 'failed' WHEN n / 25 % 100 < 7 THEN 'canceled' WHEN n / 25 % 100 = 7 THEN 'expired'
        ELSE 'succeeded' END AS state
    FROM numbered
)
INSERT INTO jobs (
    id, tenant, kind, job_class, state, method, inputs, parameters, model, model_key, seed, created_at, queued_at,
    started_at, finished_at, expires_at, erased_at, tidied_at, fence, attempt, max_attempts, cancel_requested,
    depends_on, batch_id, batch_item, work_key, timestep, timesteps, result, artifacts, error, metrics, warnings,
    metadata
)
SELECT
    CASE WHEN first THEN 'inv_' ELSE 'edt_' END || {number},
    CASE WHEN family % 5 = 0 THEN :tenant ELSE 'tenant-' || family % 49 END,
    CASE WHEN first THEN 'inversion' ELSE 'edit' END,
    CASE WHEN batched THEN 'batch' ELSE 'interactive' END,
    state, CASE WHEN first THEN 'ddim' ELSE 'p2plus' END,
    CAST(:inputs AS jsonb), CAST(CASE WHEN first THEN :inversion ELSE :edit END AS jsonb), CAST(:model AS jsonb),
    :model_key, 0, at, CASE WHEN state <> 'waiting' THEN at END,
    CASE WHEN NOT unfinished THEN at + interval '1 second' END,
    CASE WHEN NOT unfinished THEN at + interval '2 seconds' END,
    CASE WHEN state = 'succeeded' THEN at + interval '30 days' END,
    CASE WHEN at < now() - interval '30 days' AND NOT unfinished THEN at + interval '30 days' END,
    CASE WHEN NOT unfinished THEN at + interval '10 minutes' END,
    CASE WHEN unfinished THEN 0 ELSE 1 END, CASE WHEN unfinished THEN 0 ELSE 1 END, 3, false,
    CASE WHEN NOT first THEN 'inv_' || {parent} END,
    CASE WHEN batched THEN 'bat_' || lpad(to_hex(family / 400), 26, '0') END,
    CASE WHEN batched AND NOT first THEN n % 2000 END,
    CASE WHEN first THEN md5(n::text) || md5(n::text) END, 10, 10,
    CASE WHEN state = 'succeeded' AND at >= now() - interval '30 days' THEN CAST(:result AS jsonb) END,
    CASE WHEN state = 'succeeded' AND at >= now() - interval '30 days' THEN CAST(:artifacts AS jsonb)
        ELSE '[]' END,
    CASE WHEN state = 'failed' THEN CAST(:error AS jsonb) END,
    CASE WHEN unfinished THEN '{{}}' ELSE CAST(:metrics AS jsonb) END, '[]',
    jsonb_build_object('campaign', 'c-' || family % 1000, 'sku', n::text)
FROM stated
"""
_EVENTS: Final = """
INSERT INTO events (job_id, kind, state, attempt, at, data)
SELECT id, 'state', entered.state, attempt, created_at, '{}'
FROM jobs, LATERAL (VALUES ('queued'), ('running'), (jobs.state)) AS entered (state)
WHERE finished_at IS NOT NULL
"""
_ERROR: Final = {"code": "DIVERGED", "detail": "The optimisation diverged.", "retryable": True}
_INDEXES: Final = (*jobs.indexes, *events.indexes)


@final
class Rows:
    """Fills an empty database.

    Args:
        connection: to a PostgreSQL with all tables.
        rows: how many jobs.
        model: that they were made with.
    """

    def __init__(self, connection: Connection, *, rows: int, model: Mapping[str, str]) -> None:
        self._connection = connection
        self._rows = rows
        documents = {**DOCUMENTS, "error": _ERROR, "model": dict(model)}
        self._given = {
            **{name: json.dumps(document) for name, document in documents.items()},
            "model_key": model_key(model),
            "tenant": TENANT,
            "rows": float(rows),
            "seconds": _DAYS * 86_400,
            "unfinished": unfinished_of(rows),
        }

    def fill(self, *, chunk: int = 100_000) -> None:
        """Adds jobs and events and brings the planner's statistics up to date."""
        for index in _INDEXES:
            index.drop(self._connection)  # to build one afterwards takes less than to add to it a million times
        insert = text(_JOBS.format(number=_id_of("n"), parent=_id_of("n - n % 5")))
        for first in range(0, self._rows, chunk):
            last = min(first + chunk, self._rows) - 1
            self._connection.execute(insert, {**self._given, "first": first, "last": last})
            self._connection.commit()
        self._connection.execute(text(_EVENTS))
        for index in _INDEXES:
            index.create(self._connection)
        self._connection.commit()
        self._connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def unfinished_of(rows: int) -> int:
    """How many of so many jobs are not done: the newest."""
    return min(_UNFINISHED, rows // 20)


def id_of(number: int) -> str:
    """The id of the job that was added as this number."""
    return f"{'inv' if number % 5 == 0 else 'edt'}_{number:026x}"


def _id_of(number: str) -> str:
    return f"lpad(to_hex({number}), 26, '0')"


def is_own(number: int) -> bool:
    """Whether that job is the tenant's who measures."""
    return number // 5 % 5 == 0


def is_usable(number: int) -> bool:
    """Whether that job, if it is not among the unfinished, is an inversion that has succeeded."""
    return number % 5 == 0 and number // 25 % 100 > 7
