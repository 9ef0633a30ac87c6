"""What the database holds as DataFrames: the form in which people ask for it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    import pandas as pd

TIMES = frozenset({"at", "first_start", "last_finish", "not_before"})
TRUTHS = frozenset({"from_cache", "fell_back"})

LABELS_LONG = "SELECT * FROM labels_long WHERE campaign = :campaign ORDER BY sequence, output, position"
DECISIONS = "SELECT * FROM decisions_explained WHERE campaign = :campaign ORDER BY sequence, output"
ATTEMPTS = """
SELECT e.sequence, k.text AS candidate, e.fidelity, a.number AS attempt, a.state, a.exit_class, a.message, a.worker,
       a.host, a.pid, a.claimed_at, a.started_at, a.ended_at, a.wait_seconds, a.held_seconds, a.wall_seconds,
       a.cpu_seconds, a.max_rss, a.cost, a.stdout, a.stderr, a.evaluation_id, a.label_id
FROM attempts a
JOIN evaluations e ON e.id = a.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
WHERE c.name = :campaign ORDER BY e.sequence, a.number
"""
MODEL_SCORES = """
SELECT m.number AS model_version, m.surrogate, m.n_labels, m.fit_seconds, m.fell_back, s.output, s.metric, s.value, s.n,
       m.created_at
FROM model_versions m
JOIN campaigns c ON c.id = m.campaign_id
JOIN model_scores s ON s.model_version_id = m.id
WHERE c.name = :campaign ORDER BY m.number, s.output, s.metric
"""
CHECKS = """
SELECT m.number AS model_version, e.sequence, k.text AS candidate, e.fidelity, x.output, x.mean, x.std, x.tail,
       x.observed, (x.observed - x.mean) / NULLIF(x.std, 0) AS error_in_std, x.label_id
FROM model_checks x
JOIN model_versions m ON m.id = x.model_version_id
JOIN campaigns c ON c.id = m.campaign_id
JOIN evaluations e ON e.label_id = x.label_id AND e.campaign_id = m.campaign_id
JOIN candidates k ON k.id = e.candidate_id
WHERE c.name = :campaign ORDER BY m.number, e.sequence, x.output
"""
PROPOSERS = "SELECT * FROM proposers WHERE campaign = :campaign ORDER BY decisions DESC, proposer"
PARENTS = "SELECT * FROM parents WHERE campaign = :campaign ORDER BY sequence, position"


def frame(connection: Connection, sql: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The rows of a statement, with its column names."""
    import pandas as pd

    result = connection.execute(text(sql), dict(parameters or {}))
    if not result.returns_rows:
        return pd.DataFrame()
    columns = list(result.keys())
    rows = [[float(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in result]
    table = pd.DataFrame(rows, columns=columns)
    if connection.dialect.name == "sqlite":  # which keeps times as text and truth as 0 and 1
        for column in columns:
            if columns.count(column) > 1:
                continue
            if column in TRUTHS:
                table[column] = table[column].astype("boolean")
            elif column.endswith("_at") or column in TIMES:
                with contextlib.suppress(ValueError, TypeError):
                    table[column] = pd.to_datetime(table[column], utc=True, format="%Y-%m-%d %H:%M:%S.%f")
    return table
