"""What the settled part of a campaign's history adds up to, so that no question has to count it again.

An evaluation is *settled* when nothing can change it or its attempts any more: done, cancelled, or abandoned for good
(not as poison, for a late answer can still make that one done). A tally holds the sums over all evaluations up to a
sequence number but for a short list of those that were not settled yet. Today's figures are the tally's plus those of
the rest, which is as long as tallies are apart, whatever the length of the history. Nothing depends on a tally: without
one everything is counted, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, or_, select

from theoros.db.attempts import POISON
from theoros.db.chunks import chunks
from theoros.db.clock import now
from theoros.db.ranking import Ranking, Standing, best_of, merged
from theoros.db.schema import OPEN, Attempt, Evaluation, Tally

EVERY = 5_000  # evaluations between two tallies
FARTHEST = 20_000  # evaluations that one transaction goes through
MOST_PENDING = 5_000
KEPT = 100  # best labels that a tally knows

_UNSETTLED = or_(Evaluation.state.in_(OPEN), and_(Evaluation.state == "abandoned", Evaluation.failure_class == POISON))


@dataclass(frozen=True)
class Totals:
    """Evaluations by fidelity and state, and the attempts' cost and failures by class."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cost: float = 0.0
    failures: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        counts = {
            fidelity: _added(self.counts.get(fidelity, {}), other.counts.get(fidelity, {}))
            for fidelity in sorted(self.counts.keys() | other.counts.keys())
        }
        return Totals(counts, self.cost + other.cost, _added(self.failures, other.failures))


@dataclass(frozen=True)
class Standings:
    """A tally: totals and best labels of all evaluations up to `sequence` that are not in `pending`."""

    sequence: int = 0
    pending: tuple[int, ...] = ()
    totals: Totals = Totals()
    ranking: object = None
    best: tuple[Standing, ...] = ()

    def rest(self) -> Iterator[ColumnElement[bool]]:
        """Conditions for the evaluations that it does not cover; no evaluation meets two of them."""
        yield Evaluation.sequence > self.sequence
        for chunk in chunks(self.pending):
            yield Evaluation.sequence.in_(chunk)


def latest(connection: Connection, campaign_id: int) -> Standings:
    """The campaign's last tally; one that covers nothing if there is none."""
    row = connection.execute(
        select(Tally.sequence, Tally.pending, Tally.counts, Tally.cost, Tally.failures, Tally.ranking, Tally.best)
        .where(Tally.campaign_id == campaign_id)
        .order_by(Tally.sequence.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return Standings()
    totals = Totals(row.counts, row.cost, row.failures)
    best = tuple(Standing(value, sequence, evaluation_id) for value, sequence, evaluation_id in row.best)
    return Standings(row.sequence, tuple(row.pending), totals, row.ranking, best)


def totals(connection: Connection, campaign_id: int) -> Totals:
    """What the campaign did and spent until now."""
    tally = latest(connection, campaign_id)
    return _sum(connection, campaign_id, tally.rest(), tally.totals)


def best(connection: Connection, campaign_id: int, ranking: Ranking, n: int) -> list[Standing]:
    """The campaign's `n` best labels, the best first.

    More than a tally knows (100), or a ranking that is not the tally's, is found by reading all labels.
    """
    tally = latest(connection, campaign_id)
    if n > KEPT or tally.ranking != ranking.to_json():
        return best_of(connection, campaign_id, ranking, n)
    found = list(tally.best)
    for condition in tally.rest():
        found += best_of(connection, campaign_id, ranking, n, condition)
    return merged(found, ranking, n)


def keep(connection: Connection, campaign_id: int, ranking: Ranking, *, every: int = EVERY) -> bool:
    """Append a tally when there are `every` evaluations more to cover; says whether it did.

    The campaign's row is locked by the caller. One call covers 20,000 evaluations at most, so that no transaction is
    long; a history that has none yet takes several.
    """
    old = latest(connection, campaign_id)
    sequence, pending = _horizon(connection, campaign_id, old)
    if sequence - old.sequence < every:
        return False
    settled = [*_settled(old, sequence, pending)]
    carried = old.best if old.ranking == ranking.to_json() else None
    if carried is None:
        covered = and_(Evaluation.sequence <= sequence, Evaluation.sequence.not_in(pending))
        best = best_of(connection, campaign_id, ranking, KEPT, covered)
    else:
        new = [s for condition in settled for s in best_of(connection, campaign_id, ranking, KEPT, condition)]
        best = merged([*carried, *new], ranking, KEPT)
    total = _sum(connection, campaign_id, settled, old.totals)
    connection.execute(
        insert(Tally).values(
            campaign_id=campaign_id,
            sequence=sequence,
            at=now(),
            pending=list(pending),
            counts={fidelity: dict(by_state) for fidelity, by_state in total.counts.items()},
            cost=total.cost,
            failures=dict(total.failures),
            ranking=ranking.to_json(),
            best=[list(standing) for standing in best],
        )
    )
    return True


def _horizon(connection: Connection, campaign_id: int, old: Standings) -> tuple[int, list[int]]:
    """How far the next tally reaches, and which evaluations until there are not settled, `MOST_PENDING` at most."""
    last = connection.execute(
        select(func.max(Evaluation.sequence)).where(Evaluation.campaign_id == campaign_id)
    ).scalar_one()
    farthest = min(last or 0, old.sequence + FARTHEST)
    new = and_(Evaluation.sequence > old.sequence, Evaluation.sequence <= farthest)
    waiting = [
        sequence
        for condition in (new, *(Evaluation.sequence.in_(chunk) for chunk in chunks(old.pending)))
        for sequence in connection.execute(
            select(Evaluation.sequence).where(Evaluation.campaign_id == campaign_id, _UNSETTLED, condition)
        ).scalars()
    ]
    waiting.sort()
    if len(waiting) > MOST_PENDING:
        farthest = waiting[MOST_PENDING] - 1
    return farthest, waiting[:MOST_PENDING]


def _settled(old: Standings, sequence: int, pending: Sequence[int]) -> Iterator[ColumnElement[bool]]:
    """Conditions for what a tally until `sequence` covers and `old` does not.

    They name what is left out, not what is settled by now: an evaluation may become so between two statements.
    """
    yield and_(Evaluation.sequence > old.sequence, Evaluation.sequence <= sequence, Evaluation.sequence.not_in(pending))
    for chunk in chunks(sorted(set(old.pending) - set(pending))):
        yield Evaluation.sequence.in_(chunk)


def _sum(
    connection: Connection,
    campaign_id: int,
    conditions: Iterator[ColumnElement[bool]] | Sequence[ColumnElement[bool]],
    total: Totals,
) -> Totals:
    for condition in conditions:
        total += _totals_of(connection, and_(Evaluation.campaign_id == campaign_id, condition))
    return total


def _totals_of(connection: Connection, condition: ColumnElement[bool]) -> Totals:
    counts: dict[str, dict[str, int]] = {}
    for fidelity, state, number in connection.execute(
        select(Evaluation.fidelity, Evaluation.state, func.count())
        .where(condition)
        .group_by(Evaluation.fidelity, Evaluation.state)
    ):
        counts.setdefault(fidelity, {})[state] = number
    failure = case((Attempt.state.in_(("failed", "lost")), func.coalesce(Attempt.exit_class, "unknown")))
    cost, failures = 0.0, {}
    for failure_class, number, spent in connection.execute(
        select(failure, func.count(), func.sum(Attempt.cost))
        .join(Evaluation, Evaluation.id == Attempt.evaluation_id)
        .where(condition)
        .group_by(failure)
    ):
        cost += spent
        if failure_class is not None:
            failures[failure_class] = number
    return Totals(counts, cost, failures)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in sorted(one.keys() | other.keys())}
