"""What an operation did to each row stands beside the version that it made."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the name of the blob that holds the changes."""
    op.add_column("version", sa.Column("changes_blob", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it; the blobs stay."""
    with op.batch_alter_table("version") as table:
        table.drop_column("changes_blob")
