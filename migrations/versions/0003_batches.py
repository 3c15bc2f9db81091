"""Batches, their items, and the jobs made of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)
_ID = sa.String(40)

_PARTIAL_INDEXES = {
    "ix_jobs_batch": ("jobs", ["batch_id", "created_at", "id"], "batch_id IS NOT NULL"),
    "ix_batches_open": ("batches", ["tended_at"], "ended_at IS NULL"),
    "ix_batch_items_waiting": ("batch_items", ["batch_id", "number"], "state = 'waiting'"),
    "ix_batch_items_started": ("batch_items", ["batch_id", "number"], "state = 'started'"),
    "ix_batch_items_results": ("batch_items", ["batch_id", "sequence"], "sequence IS NOT NULL"),
}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("batch_id", _ID))
    op.add_column("jobs", sa.Column("batch_item", sa.Integer))
    _create_batches()
    _create_items()
    for name, (table, columns, where) in _PARTIAL_INDEXES.items():
        op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    op.drop_table("batch_items")
    op.drop_table("batches")
    op.drop_index("ix_jobs_batch", "jobs")
    op.drop_column("jobs", "batch_item")
    op.drop_column("jobs", "batch_id")


def _create_batches() -> None:
    counts = ("total", "waiting", "succeeded", "failed", "canceled", "expired")
    op.create_table(
        "batches",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in counts),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("max_failures", sa.Integer),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("tended_at", _MOMENT, nullable=False),
        *(sa.Column(name, _MOMENT) for name in ("deadline_at", "cancel_requested_at", "ended_at")),
        sa.Column("metadata", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_index("ix_batches_list", "batches", ["tenant", "created_at", "id"])


def _create_items() -> None:
    op.create_table(
        "batch_items",
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("custom_id", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("job_id", _ID),
        sa.Column("request", _DOCUMENT),
        sa.Column("error", _DOCUMENT),
        sa.PrimaryKeyConstraint("batch_id", "number", name="pk_batch_items"),
    )
