"""How heavy the tails of what was predicted are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("decision_predictions", "model_checks"):
        op.add_column(table, sa.Column("tail", sa.Double(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Theoros databases are only ever upgraded; restore a backup instead.")
