"""Units of images, speech and search: columns of the ledger and of its sums."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CLASSES = (
    "input_image_tokens",
    "output_image_tokens",
    "characters",
    "audio_seconds",
    "searches",
)


def upgrade() -> None:
    # A partitioned table passes the column on to its partitions, and a constant default writes no
    # row anew.
    for table in ("ledger_entries", "usage_rollups"):
        for name in CLASSES:
            op.add_column(
                table, sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            )
