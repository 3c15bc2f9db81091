"""Images, jobs and their events, API keys, first answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_MOMENT = sa.DateTime(timezone=True)
_ID = sa.String(40)
_NAME = sa.String(64)

_PARTIAL_INDEXES = {
    "ix_jobs_queue": (["job_class", "tenant", "queued_at", "id"], "state = 'queued'"),
    "ix_jobs_running": (["tenant", "lease_until"], "state = 'running'"),
    "ix_jobs_work": (["tenant", "work_key"], "work_key IS NOT NULL"),
    "ix_jobs_leader": (["leader"], "leader IS NOT NULL"),
    "ix_jobs_depends_on": (["depends_on"], "depends_on IS NOT NULL"),
    "ix_jobs_deadline": (
        ["deadline_at"],
        "(state = 'waiting' OR state = 'queued' OR state = 'running') AND deadline_at IS NOT NULL",
    ),
    "ix_jobs_recent": (["job_class", "finished_at"], "state = 'succeeded' AND leader IS NULL"),
    "ix_jobs_expiry": (["expires_at"], "state = 'succeeded' AND erased_at IS NULL AND expires_at IS NOT NULL"),
}


def upgrade() -> None:
    _create_images()
    _create_jobs()
    _create_events()
    _create_access()


def downgrade() -> None:
    for table in ("idempotency", "api_keys", "events", "jobs", "images"):
        op.drop_table(table)


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.UniqueConstraint("tenant", "sha256", name="uq_images_tenant_sha256"),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("job_class", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("method", _NAME, nullable=False),
        sa.Column("inputs", _DOCUMENT, nullable=False),
        sa.Column("parameters", _DOCUMENT, nullable=False),
        sa.Column("model", _DOCUMENT, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        *(
            sa.Column(name, _MOMENT)
            for name in ("queued_at", "started_at", "finished_at", "deadline_at", "expires_at", "erased_at")
        ),
        sa.Column("deleted_at", _MOMENT),
        sa.Column("lease_until", _MOMENT),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("depends_on", _ID),
        sa.Column("leader", _ID),
        sa.Column("retry_of", _ID),
        sa.Column("work_key", sa.String(64)),
        sa.Column("timestep", sa.Integer, nullable=False),
        sa.Column("timesteps", sa.Integer, nullable=False),
        sa.Column("eta_seconds", sa.Float),
        sa.Column("checkpoint_key", sa.Text),
        sa.Column("result", _DOCUMENT),
        sa.Column("artifacts", _DOCUMENT, nullable=False),
        sa.Column("error", _DOCUMENT),
        sa.Column("metrics", _DOCUMENT, nullable=False),
        sa.Column("warnings", _DOCUMENT, nullable=False),
        sa.Column("metadata", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_list", "jobs", ["tenant", "created_at", "id"])
    for name, (columns, where) in _PARTIAL_INDEXES.items():
        op.create_index(name, "jobs", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
    )
    op.create_index("ix_events_job", "events", ["job_id", "number"])


def _create_access() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scopes", _DOCUMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        *(sa.Column(name, _MOMENT) for name in ("expires_at", "revoked_at", "last_used_at")),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", _NAME, nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", _DOCUMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
