"""Lists by method, by state and by metadata find what is rare on PostgreSQL without reading all of a tenant's jobs."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_method", "jobs", ["tenant", "method", "created_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_jobs_state", "jobs", ["tenant", "state", "created_at", "id"])
        op.create_index(
            "ix_jobs_metadata",
            "jobs",
            ["metadata"],
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_jobs_metadata", "jobs")
        op.drop_index("ix_jobs_state", "jobs")
    op.drop_index("ix_jobs_method", "jobs")
