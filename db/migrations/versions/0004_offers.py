"""What proposers offered for each decision, and what candidates were made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "decision_offers",
        sa.Column("decision_id", sa.Integer(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("proposals", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("share", sa.Double(), nullable=True),
        sa.Column("promise", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_decision_offers_decision_id")),
        sa.PrimaryKeyConstraint("decision_id", "proposer", name=op.f("pk_decision_offers")),
    )
    op.create_table(
        "decision_parents",
        sa.Column("decision_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("child", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_decision_parents_decision_id")),
        sa.PrimaryKeyConstraint("decision_id", "position", name=op.f("pk_decision_parents")),
    )


def downgrade() -> None:
    raise NotImplementedError("Theoros databases are only ever upgraded; restore a backup instead.")
