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
       p.tail AS predicted_tail, v.value AS observed, (v.value - p.mean) / NULLIF(p.std, 0) AS error_in_std,
       d.seconds AS seconds, d.reason AS reason, d.decided_at AS decided_at, e.id AS evaluation_id
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

_PROPOSERS = """
SELECT c.name AS campaign, n.proposer AS proposer, COALESCE(o.pools, 0) AS pools, o.proposals AS proposals,
       COALESCE(d.decisions, 0) AS decisions, COALESCE(d.labels, 0) AS labels, COALESCE(d.failed, 0) AS failed,
       o.mean_share AS mean_share, o.mean_promise AS mean_promise, o.seconds AS seconds,
       o.promised / NULLIF(o.promised_seconds, 0) AS promise_per_second
FROM (
    SELECT e.campaign_id AS campaign_id, d.proposer AS proposer
    FROM decisions d JOIN evaluations e ON e.id = d.evaluation_id
    UNION
    SELECT e.campaign_id AS campaign_id, o.proposer AS proposer
    FROM decision_offers o JOIN decisions d ON d.id = o.decision_id JOIN evaluations e ON e.id = d.evaluation_id
) n
JOIN campaigns c ON c.id = n.campaign_id
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, d.proposer AS proposer, COUNT(*) AS decisions,
           SUM(CASE WHEN e.state = 'done' THEN 1 ELSE 0 END) AS labels,
           SUM(CASE WHEN e.state = 'abandoned' THEN 1 ELSE 0 END) AS failed
    FROM decisions d JOIN evaluations e ON e.id = d.evaluation_id
    GROUP BY e.campaign_id, d.proposer
) d ON d.campaign_id = n.campaign_id AND d.proposer = n.proposer
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, o.proposer AS proposer, COUNT(*) AS pools, SUM(o.proposals) AS proposals,
           SUM(o.seconds) AS seconds, AVG(o.share) AS mean_share, AVG(o.promise) AS mean_promise,
           SUM(o.promise) AS promised,
           SUM(CASE WHEN o.promise IS NOT NULL THEN o.seconds ELSE 0 END) AS promised_seconds
    FROM decision_offers o JOIN decisions d ON d.id = o.decision_id JOIN evaluations e ON e.id = d.evaluation_id
    GROUP BY e.campaign_id, o.proposer
) o ON o.campaign_id = n.campaign_id AND o.proposer = n.proposer
"""

_PARENTS = """
SELECT c.name AS campaign, e.sequence AS sequence, k.text AS candidate, d.proposer AS proposer, p.position AS position,
       p.child AS child, p.parent AS parent,
       CASE WHEN f.sequence < e.sequence THEN f.sequence END AS parent_sequence,
       e.id AS evaluation_id
FROM decision_parents p
JOIN decisions d ON d.id = p.decision_id
JOIN evaluations e ON e.id = d.evaluation_id
JOIN campaigns c ON c.id = e.campaign_id
JOIN candidates k ON k.id = e.candidate_id
LEFT JOIN (
    SELECT e.campaign_id AS campaign_id, k.text AS text, MIN(e.sequence) AS sequence
    FROM evaluations e JOIN candidates k ON k.id = e.candidate_id
    GROUP BY e.campaign_id, k.text
) f ON f.campaign_id = e.campaign_id AND f.text = p.parent
"""

VIEWS = {  # in the order of their making: `best` reads `labels_long`
    "labels_long": _LABELS_LONG,
    "best": _BEST,
    "decisions_explained": _DECISIONS_EXPLAINED,
    "failures": _FAILURES,
    "utilisation": _UTILISATION,
    "proposers": _PROPOSERS,
    "parents": _PARENTS,
}


def create_views(connection: Connection) -> None:
    """Make the views; their names must be free."""
    for name, select in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {select}")


def drop_views(connection: Connection) -> None:
    """Remove the views that exist."""
    for name in reversed(VIEWS):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
