"""Tenants and what they use, upload and are told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)
_ID = sa.String(40)
_NAME = sa.String(64)
_UNFINISHED = sa.text("finished_at IS NULL")
_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook", _DOCUMENT))
    op.create_index(
        "ix_jobs_unfinished",
        "jobs",
        ["tenant", "job_class"],
        postgresql_where=_UNFINISHED,
        sqlite_where=_UNFINISHED,
    )
    _create_tenants()
    _create_uploads()
    _create_webhooks()
    op.execute("INSERT INTO tenants (name, fetch_urls) SELECT DISTINCT tenant, false FROM api_keys")


def downgrade() -> None:
    for table in ("webhook_deliveries", "webhook_endpoints", "uploads", "usage", "tenants"):
        op.drop_table(table)
    op.drop_index("ix_jobs_unfinished", "jobs")
    op.drop_column("jobs", "webhook")


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", _NAME, nullable=False),
        sa.Column("fetch_urls", sa.Boolean, nullable=False),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("max_unfinished_jobs", sa.Integer),
        sa.Column("compute_seconds_per_day", sa.Float),
        sa.PrimaryKeyConstraint("name", name="pk_tenants"),
    )
    op.create_table(
        "usage",
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("jobs", sa.Integer, nullable=False),
        sa.Column("compute_seconds", sa.Float, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", name="pk_usage"),
    )


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("media_type", _NAME, nullable=False),
        sa.Column("max_bytes", sa.Integer, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"])


def _create_webhooks() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("url", sa.Text),
        sa.Column("events", _DOCUMENT, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index("ix_webhook_endpoints_tenant", "webhook_endpoints", ["tenant"])
    _create_deliveries()


def _create_deliveries() -> None:
    table = "webhook_deliveries"
    op.create_table(
        table,
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("named", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", _MOMENT),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    op.create_index("ix_webhook_deliveries_list", table, ["tenant", "created_at", "id"])
    op.create_index("ix_webhook_deliveries_created_at", table, ["created_at"])
    op.create_index(
        "ix_webhook_deliveries_due",
        table,
        ["tenant", "next_at"],
        postgresql_where=_PENDING,
        sqlite_where=_PENDING,
    )
