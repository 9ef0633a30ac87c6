"""Which labels of a campaign are the best, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.orm import aliased

from theoros.db.schema import Evaluation, LabelValue


@dataclass(frozen=True)
class Ranking:
    """What makes a label better than another: the output that counts, at which fidelity, and what must hold besides.

    `sense` is ``"maximize"``, ``"minimize"`` or ``"match"``, which wants it near `target`. `bounds` are (output,
    ``"<="`` or ``">="``, bound), each in the output's own unit.
    """

    output: str
    sense: str
    fidelity: str
    bounds: tuple[tuple[str, str, float], ...] = ()
    target: float = 0.0

    def loss(self, value: float) -> float:
        """Smaller is better."""
        return -value if self.sense == "maximize" else value if self.sense == "minimize" else abs(value - self.target)

    def to_json(self) -> list[Any]:
        """JSON data that is equal for equal rankings."""
        return [
            self.output,
            [self.sense, self.target] if self.sense == "match" else self.sense == "maximize",
            self.fidelity,
            [[name, op, float(bound)] for name, op, bound in self.bounds],
        ]


class Standing(NamedTuple):
    """Where a label stands: its value, and the evaluation that it belongs to."""

    value: float
    sequence: int
    evaluation_id: int


def best_of(
    connection: Connection, campaign_id: int, ranking: Ranking, n: int, *conditions: ColumnElement[bool]
) -> list[Standing]:
    """The `n` best labels among the evaluations that meet `conditions`, the best first, of two equal ones the earlier.

    It reads every label that `conditions` leave.
    """
    value = LabelValue.value
    query = (
        select(value, Evaluation.sequence, Evaluation.id)
        .join(LabelValue, LabelValue.label_id == Evaluation.label_id)
        .where(
            Evaluation.campaign_id == campaign_id,
            Evaluation.fidelity == ranking.fidelity,
            LabelValue.output == ranking.output,
            LabelValue.position == 0,
            *conditions,
        )
    )
    for output, op, bound in ranking.bounds:
        held = aliased(LabelValue)
        kept = held.value <= bound if op == "<=" else held.value >= bound
        query = query.join(held, held.label_id == Evaluation.label_id).where(
            held.output == output, held.position == 0, kept
        )
    order = {"maximize": value.desc(), "minimize": value.asc()}.get(ranking.sense, func.abs(value - ranking.target))
    rows = connection.execute(query.order_by(order, Evaluation.sequence).limit(n))
    return [Standing(float(row.value), row.sequence, row.id) for row in rows]


def merged(standings: list[Standing], ranking: Ranking, n: int) -> list[Standing]:
    """The `n` best of several lists put together."""
    return sorted(standings, key=lambda standing: (ranking.loss(standing.value), standing.sequence))[:n]
