"""The tables of batches and their items."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, literal_column

from core.domain.batch import ItemState
from core.storage.tables import Document, Id, Name, UtcDateTime, metadata

# The counts are of items that wait or are final; the started ones are counted from their jobs, and are few.
batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("total", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("canceled", Integer, nullable=False),
    Column("expired", Integer, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("max_failures", Integer),
    Column("max_attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("tended_at", UtcDateTime, nullable=False),
    Column("deadline_at", UtcDateTime),
    Column("expires_in_seconds", Float),
    Column("cancel_requested_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("metadata", Document, nullable=False),
    Column("webhook", Document),
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", Name),
    Column("state", String(16), nullable=False),
    Column("sequence", BigInteger),  # of its result, while it is final
    Column("job_id", Id),
    Column("request", Document),
    Column("error", Document),
)

IS_OPEN = batches.c.ended_at.is_(None)
# Literals, as in the conditions on jobs.
ITEM_WAITS = batch_items.c.state == literal_column(f"'{ItemState.WAITING}'")
ITEM_STARTED = batch_items.c.state == literal_column(f"'{ItemState.STARTED}'")
ITEM_FINAL = batch_items.c.sequence.is_not(None)

_PARTIAL = {
    "ix_batches_open": (IS_OPEN, (batches.c.tended_at,)),
    "ix_batch_items_waiting": (ITEM_WAITS, (batch_items.c.batch_id, batch_items.c.number)),
    "ix_batch_items_started": (ITEM_STARTED, (batch_items.c.batch_id, batch_items.c.number)),
    "ix_batch_items_results": (ITEM_FINAL, (batch_items.c.batch_id, batch_items.c.sequence)),
}
for _name, (_where, _columns) in _PARTIAL.items():
    Index(_name, *_columns, postgresql_where=_where, sqlite_where=_where)
Index("ix_batches_list", batches.c.tenant, batches.c.created_at, batches.c.id)
