"""What can be watched: progress and previews as events, workers that are ready, jobs by the model they need."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)
_QUEUED = sa.text("state = 'queued'")
_WAITING = sa.text("state = 'waiting'")
_UNTIDY = sa.text("finished_at IS NOT NULL AND tidied_at IS NULL")


def upgrade() -> None:
    op.add_column("events", sa.Column("kind", sa.String(16), nullable=False, server_default="state"))
    op.add_column("events", sa.Column("data", _DOCUMENT, nullable=False, server_default="{}"))
    op.add_column("jobs", sa.Column("tidied_at", _MOMENT))
    op.add_column("jobs", sa.Column("model_key", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE jobs SET model_key = (model ->> 'name') || '@' || (model ->> 'revision')")
    op.drop_index("ix_jobs_queue", "jobs")
    _partial_index("ix_jobs_queue", ["job_class", "model_key", "tenant", "queued_at", "id"], _QUEUED)
    _partial_index("ix_jobs_waiting", ["job_class"], _WAITING)
    _partial_index("ix_jobs_untidy", ["finished_at"], _UNTIDY)
    _create_workers()


def downgrade() -> None:
    op.drop_table("workers")
    for index in ("ix_jobs_untidy", "ix_jobs_waiting", "ix_jobs_queue"):
        op.drop_index(index, "jobs")
    _partial_index("ix_jobs_queue", ["job_class", "tenant", "queued_at", "id"], _QUEUED)
    op.drop_column("jobs", "model_key")
    op.drop_column("jobs", "tidied_at")
    op.execute("DELETE FROM events WHERE kind <> 'state'")
    op.drop_column("events", "data")
    op.drop_column("events", "kind")


def _partial_index(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, "jobs", columns, postgresql_where=where, sqlite_where=where)


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("model", _DOCUMENT, nullable=False),
        sa.Column("model_key", sa.Text, nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("ready_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("present_until", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
