"""SQL views for people: the same text on SQLite and PostgreSQL. docs/database.md has examples of their use."""

from __future__ import annotations

from sqlalchemy import Connection

_LABELS_LONG = """
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, k.kind AS kind, e.fidelity AS fidelity,
       l.oracle AS oracle, l.oracle_version AS oracle_version, v.output AS output, v.position AS position,
       v.value AS value, o.unit AS unit, l.cost AS cost, e.from_cache AS from_cache, d.proposer AS proposer,
       l.created_at AS created_at, e.id AS evaluation_id, l.id AS label_id, k.hash AS candidate_hash
FROM evaluations e
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
JOIN labels l ON l.id = e.label_id
JOIN label_outputs o ON o.label_id = l.id
JOIN label_values v ON v.label_id = o.label_id AND v.output = o.output
LEFT JOIN decisions d ON d.evaluation_id = e.id
WHERE e.state = 'done'
"""

_BEST = """
SELECT campaign, output, fidelity, candidate, value, unit, sequence,
       ROW_NUMBER() OVER (PARTITION BY campaign, output, fidelity ORDER BY value ASC, sequence) AS rank_ascending,
       ROW_NUMBER() OVER (PARTITION BY campaign, output, fidelity ORDER BY value DESC, sequence) AS rank_descending
FROM labels_long
WHERE NOT EXISTS (
    SELECT 1 FROM label_values w
    WHERE w.label_id = labels_long.label_id AND w.output = labels_long.output AND w.position > 0
)
"""

_DECISIONS_EXPLAINED = """
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, e.fidelity AS fidelity, e.state AS state,
       d.proposer AS proposer, d.model_version AS model_version, d.acquisition AS acquisition,
       d.acquisition_value AS acquisition_value, p.output AS output, p.mean AS predicted_mean, p.std AS predicted_std,
       v.value AS observed, (v.value - p.mean) / NULLIF(p.std, 0) AS error_in_std, d.seconds AS seconds,
       d.reason AS reason, d.decided_at AS decided_at, e.id AS evaluation_id
FROM decisions d
JOIN evaluations e ON e.id = d.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
LEFT JOIN decision_predictions p ON p.decision_id = d.id
LEFT JOIN label_values v ON v.label_id = e.label_id AND v.output = p.output AND v.position = 0
"""

_FAILURES = """
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, e.fidelity AS fidelity,
       a.exit_class AS failure_class, a.message AS message, a.number AS attempt, e.state AS evaluation_state,
       a.worker AS worker, a.host AS host, a.wall_seconds AS wall_seconds, a.stderr AS stderr_tail,
       a.ended_at AS ended_at, e.id AS evaluation_id
FROM attempts a
JOIN evaluations e ON e.id = a.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
WHERE a.state IN ('failed', 'lost')
"""

_UTILISATION = """
SELECT c.name AS campaign, COUNT(*) AS attempts,
       SUM(CASE WHEN a.state = 'done' THEN 1 ELSE 0 END) AS done,
       SUM(CASE WHEN a.state IN ('failed', 'lost') THEN 1 ELSE 0 END) AS failed,
       SUM(CASE WHEN a.state = 'running' THEN 1 ELSE 0 END) AS running,
       COALESCE(SUM(COALESCE(a.wall_seconds, a.held_seconds)), 0) AS busy_seconds,
       COALESCE(SUM(a.cpu_seconds), 0) AS cpu_seconds,
       COALESCE(SUM(a.held_seconds), 0) AS held_seconds,
       AVG(a.wait_seconds) AS mean_wait_seconds, SUM(a.cost) AS cost,
       MIN(COALESCE(a.started_at, a.claimed_at)) AS first_start, MAX(a.ended_at) AS last_finish
FROM attempts a
JOIN evaluations e ON e.id = a.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
GROUP BY c.name
"""

VIEWS = {  # in the order of their making: `best` reads `labels_long`
    "labels_long": _LABELS_LONG,
    "best": _BEST,
    "decisions_explained": _DECISIONS_EXPLAINED,
    "failures": _FAILURES,
    "utilisation": _UTILISATION,
}


def create_views(connection: Connection) -> None:
    """Make the views; their names must be free."""
    for name, select in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select}")


def drop_views(connection: Connection) -> None:
    """Remove the views that exist."""
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
