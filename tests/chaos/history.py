"""The suite's own record of every change of every job, kept by the database itself: no log of the product is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

from sqlalchemy import Engine, text

_TABLE = """
CREATE TABLE chaos_history (
    number {number}, at {moment} NOT NULL, job_id VARCHAR(40) NOT NULL,
    state_before VARCHAR(16), state VARCHAR(16) NOT NULL, fence INTEGER NOT NULL, attempt INTEGER NOT NULL,
    timestep_before INTEGER, timestep INTEGER NOT NULL, cancel_requested BOOLEAN NOT NULL, checkpoint_key TEXT,
    result_changed BOOLEAN NOT NULL, lease_before {moment}, writer VARCHAR(64)
)
"""
_INTO = (
    "INSERT INTO chaos_history (at, job_id, state_before, state, fence, attempt, timestep_before, timestep, "
    "cancel_requested, checkpoint_key, result_changed, lease_before, writer) VALUES "
)
_ADDED = "({now}, NEW.id, NULL, NEW.state, NEW.fence, NEW.attempt, NULL, NEW.timestep, NEW.cancel_requested, "
_ADDED += "NEW.checkpoint_key, {no}, NULL, {writer})"
_CHANGED = "({now}, NEW.id, OLD.state, NEW.state, NEW.fence, NEW.attempt, OLD.timestep, NEW.timestep, "
_CHANGED += "NEW.cancel_requested, NEW.checkpoint_key, NEW.erased_at IS NULL AND {differ}, OLD.lease_until, {writer})"

_POSTGRES = {
    "now": "clock_timestamp()",
    "no": "FALSE",
    "differ": "OLD.artifacts IS DISTINCT FROM NEW.artifacts",
    "writer": "current_setting('application_name')",
}
_SQLITE = {
    "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "no": "0",
    "differ": "OLD.artifacts IS NOT NEW.artifacts",
    "writer": "NULL",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write to a job's row: what it was before, where that matters, and what it is then."""

    number: int
    at: datetime
    job_id: str
    state_before: str | None
    state: str
    fence: int
    attempt: int
    timestep_before: int | None
    timestep: int
    cancel_requested: bool
    checkpoint_key: str | None
    result_changed: bool
    lease_before: datetime | None
    writer: str | None  # the id of the process that wrote it; SQLite cannot tell


def keep_history(engine: Engine) -> None:
    """From now on the database notes every job that is added or changed."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            table = _TABLE.format(number="BIGSERIAL PRIMARY KEY", moment="TIMESTAMPTZ")
            body = f"IF TG_OP = 'INSERT' THEN {_INTO}{_ADDED}; ELSE {_INTO}{_CHANGED}; END IF;".format(**_POSTGRES)
            statements = [
                table,
                f"CREATE FUNCTION chaos_note() RETURNS trigger AS $$ BEGIN {body} RETURN NULL; END $$ LANGUAGE plpgsql",
                "CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION chaos_note()",
            ]
        else:
            added, changed = (f"BEGIN {_INTO}{row}; END".format(**_SQLITE) for row in (_ADDED, _CHANGED))
            statements = [
                _TABLE.format(number="INTEGER PRIMARY KEY", moment="DATETIME"),
                f"CREATE TRIGGER chaos_added AFTER INSERT ON jobs {added}",
                f"CREATE TRIGGER chaos_changed AFTER UPDATE ON jobs {changed}",
            ]
        for statement in statements:
            connection.exec_driver_sql(statement)


def read_history(engine: Engine) -> Sequence[Change]:
    """Every change so far, in order."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM chaos_history ORDER BY number")).mappings()
        return [
            Change(**{**row, "at": to_moment(row["at"]), "lease_before": to_moment(row["lease_before"])})
            for row in rows
        ]


def to_moment(value: object) -> datetime | None:
    """A moment as either database gives it."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
