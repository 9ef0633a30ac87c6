"""Sums over the settled part of a campaign, and an index of what was done when: long histories are read at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pending", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("failures", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("ranking", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("best", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_tallies_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "sequence", name=op.f("pk_tallies")),
    )
    op.create_index(
        "ix_evaluations_done",
        "evaluations",
        ["campaign_id", "ended_at"],
        sqlite_where=sa.text("state = 'done'"),
        postgresql_where=sa.text("state = 'done'"),
    )


def downgrade() -> None:
    raise NotImplementedError("Theoros databases are only ever upgraded; restore a backup instead.")
