"""A batch knows how long it was given, and a key that was exchanged keeps its own end beside that of the overlap."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# A batch that was tried again before has a later deadline than it was given; what it was given is not known any more.
_FILL = {
    "postgresql": "UPDATE batches SET expires_in_seconds = EXTRACT(EPOCH FROM deadline_at - created_at)",
    "sqlite": "UPDATE batches SET expires_in_seconds ="
    " ROUND((julianday(deadline_at) - julianday(created_at)) * 86400, 3)",
}


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("retired_at", sa.DateTime(timezone=True)))
    op.add_column("batches", sa.Column("expires_in_seconds", sa.Float))
    op.execute(_FILL[op.get_bind().dialect.name])


def downgrade() -> None:
    # Before, an overlap's end was the key's own.
    op.execute(
        "UPDATE api_keys SET expires_at = retired_at"
        " WHERE retired_at IS NOT NULL AND (expires_at IS NULL OR expires_at > retired_at)"
    )
    op.drop_column("batches", "expires_in_seconds")
    op.drop_column("api_keys", "retired_at")
