"""A job knows the request that made it, so that a worker's log can be searched for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.String(128)))


def downgrade() -> None:
    op.drop_column("jobs", "request_id")
