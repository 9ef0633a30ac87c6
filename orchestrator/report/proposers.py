"""What each proposer has contributed: how much was asked of it, what came of that, and what it earned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from theoros.db import Store
from theoros.models.credit import JUDGED, earnings
from theoros.models.data import Array, Problem
from theoros.oracles.spaces import Molecules
from theoros.orchestrator.agents.beliefs import history as labels_as_data
from theoros.orchestrator.report.canvas import canvas, plain
from theoros.orchestrator.report.history import History, Sample, read_history
from theoros.orchestrator.report.html import Html, number, table
from theoros.orchestrator.scorecard import Scorecard

if TYPE_CHECKING:
    import pandas as pd

#: Stretches of the campaign over which shares are told.
STRETCHES = 20
#: How many of the best samples count as such.
TOP = 10
#: Proposers that get a colour of their own.
COLOURS = 10


@dataclass(frozen=True)
class Contribution:
    """One proposer's part in a campaign.

    `asked` counts its evaluations, `labelled` those with a label (at any fidelity) and `failed` those given up.
    `best` and `middle` are the best and the median rank of its feasible labels at the target (1 is the campaign's
    best), `top` how many are among the first `TOP`, and `found` is the best of them. `earned` is what its labels earned
    on average (`theoros.models.credit`), over `judged` of them; None where none is judged. `proposals` is how many it
    made, which took `proposing` seconds of a processor, and `promise` what they promised on average; None where the
    database does not know. `seconds` went into deciding for its candidates, `cpu_seconds` into labelling them.
    """

    proposer: str
    asked: int
    labelled: int
    failed: int
    best: int | None
    middle: float | None
    top: int
    earned: float | None
    judged: int
    seconds: float
    cpu_seconds: float
    proposals: int | None = None
    proposing: float | None = None
    promise: float | None = None
    found: Sample | None = None

    @property
    def earned_per_second(self) -> float | None:
        """What its labels earned altogether, for each processor second that its proposals took."""
        return None if self.earned is None or not self.proposing else self.earned * self.judged / self.proposing


def contributions(history: History) -> list[Contribution]:
    """What each proposer has contributed, the one that was asked most first."""
    ranks: dict[str, list[int]] = {}
    for rank, sample in enumerate(history.ranked, start=1):
        ranks.setdefault(sample.proposer, []).append(rank)
    earned: dict[str, list[float]] = {}
    for sample, value in _earned(history):
        earned.setdefault(sample.proposer, []).append(value)
    order = Counter(sample.proposer for sample in history.samples)
    order.update({offer.proposer: 0 for sample in history.samples for offer in sample.offers})
    return [_contribution(history, name, ranks.get(name, []), earned.get(name, [])) for name, _ in order.most_common()]


def who_earned_what(store: Store, campaign: str) -> pd.DataFrame:
    """One row per proposer, the one that was asked most first: the fields of `Contribution`, and what it found.

    ``found`` is its best candidate and ``value`` the first objective of that; ``earned_per_second`` counts the
    processor seconds of proposing. Reads the whole campaign.
    """
    import pandas as pd

    history = read_history(store, campaign, kind=None)
    rows = []
    for one in contributions(history):
        told = {name: getattr(one, name) for name in _TOLD} | {"earned_per_second": one.earned_per_second}
        rows.append(told | {"found": one.found and one.found.evaluation.candidate.text, "value": _value(history, one)})
    return pd.DataFrame(rows, columns=[*_TOLD, "earned_per_second", "found", "value"])


_TOLD = tuple(field.name for field in fields(Contribution) if field.name != "found")


def proposers_table(found: list[Contribution]) -> Html:
    """The contributions as a table, without the columns that nobody has a figure for."""
    total = sum(one.asked for one in found)
    columns = {
        "proposer": [one.proposer or "nobody" for one in found],
        "proposals": [number(one.proposals) for one in found],
        "promise": [number(one.promise, digits=3) for one in found],
        "asked": [str(one.asked) for one in found],
        "share": [f"{one.asked / total:.0%}" for one in found],
        "labelled": [str(one.labelled) for one in found],
        "failed": [str(one.failed) for one in found],
        "best rank": [number(one.best) for one in found],
        "median rank": [number(one.middle) for one in found],
        f"among the best {TOP}": [str(one.top) for one in found],
        "mean earning": [number(one.earned, digits=3) for one in found],
        "CPU s of proposing": [number(one.proposing, digits=3) for one in found],
        "earned per CPU s": [number(one.earned_per_second, digits=3) for one in found],
        "s of deciding": [number(one.seconds, digits=3) for one in found],
        "CPU s of labelling": [number(one.cpu_seconds, digits=3) for one in found],
    }
    told = {
        "proposals": any(one.proposals is not None for one in found),
        "promise": any(one.promise is not None for one in found),
        "CPU s of proposing": any(one.proposing is not None for one in found),
        "earned per CPU s": any(one.earned_per_second is not None for one in found),
        "best rank": any(one.best is not None for one in found),
        "median rank": any(one.best is not None for one in found),
        f"among the best {TOP}": any(one.best is not None for one in found),
        "mean earning": any(one.earned is not None for one in found),
        "CPU s of labelling": any(one.cpu_seconds > 0 for one in found),
    }
    kept = [column for column in columns if told.get(column, True)]
    rows = zip(*(columns[column] for column in kept), strict=True)
    return table(kept, list(rows), numeric=kept[1:])


def earnings_told(found: list[Contribution]) -> str:
    """What an earning is; empty where nothing was judged."""
    n = sum(one.judged for one in found)
    sentences = []
    if n:
        sentences.append(
            "A label earns the chance, by its rank, that it is better than all of five labels drawn from those before "
            "it, or of a front that none of them is as good in every objective "
            f"(0 to 1; {n} labels are judged, the last {JUDGED} at most)."
        )
    if any(one.promise is not None for one in found):
        sentences.append(
            "A proposal promises the same of five proposals from the pool that it was made for, by acquisition values."
        )
    return " ".join(sentences)


def shares_over_time(history: History) -> tuple[list[str], Array, list[int]]:
    """Proposers, their shares of the decisions (stretches x proposers), and the number of each stretch's last one."""
    order = [name for name, _ in Counter(sample.proposer for sample in history.samples).most_common()]
    places = {name: place for place, name in enumerate(order)}
    stretches = np.array_split(np.arange(len(history.samples)), min(STRETCHES, len(history.samples)))
    shares = np.zeros((len(stretches), len(order)))
    for row, stretch in enumerate(stretches):
        for i in stretch:
            shares[row, places[history.samples[i].proposer]] += 1 / len(stretch)
    return order, shares, [history.samples[stretch[-1]].number for stretch in stretches]


def shares_figure(history: History) -> Any:
    """The shares of the decisions as bars over the campaign."""
    names, shares, ends = shares_over_time(history)
    figure, (axes,) = canvas(1, 1, 6.4, 3.2)
    starts = np.array([0, *ends[:-1]])
    widths, floor = np.array(ends) - starts, np.zeros(len(ends))
    for place, name in enumerate(names):
        label = plain(name or "nobody") if place < COLOURS else None
        axes.bar(starts, shares[:, place], widths, bottom=floor, align="edge", color=colour(place), label=label)
        floor += shares[:, place]
    axes.set_xlabel("decisions")
    axes.set_ylabel("share of the decisions")
    axes.set_ylim(0, 1)
    axes.set_xlim(0, ends[-1])
    axes.grid(visible=False)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def colour(place: int) -> str:
    """The colour of the proposer at this place of the order; those that come late share grey."""
    return f"C{place}" if place < COLOURS else "0.7"


def _contribution(history: History, name: str, ranks: list[int], earned: list[float]) -> Contribution:
    own = [sample for sample in history.samples if sample.proposer == name]
    offers = [offer for sample in history.samples for offer in sample.offers if offer.proposer == name]
    promises = [offer.promise for offer in offers if offer.promise is not None]
    return Contribution(
        name,
        asked=len(own),
        labelled=sum(sample.label is not None for sample in own),
        failed=sum(sample.evaluation.state == "abandoned" for sample in own),
        best=min(ranks, default=None),
        middle=median(ranks) if ranks else None,
        top=sum(rank <= TOP for rank in ranks),
        earned=float(np.mean(earned)) if earned else None,
        judged=len(earned),
        seconds=sum(sample.seconds for sample in own),
        cpu_seconds=sum(sample.cpu_seconds for sample in own),
        proposals=sum(offer.proposals for offer in offers) if offers else None,
        proposing=sum(offer.seconds for offer in offers) if offers else None,
        promise=float(np.mean(promises)) if promises else None,
        found=history.ranked[min(ranks) - 1] if ranks else None,
    )


def _value(history: History, one: Contribution) -> float | None:
    """The first objective of the best that a proposer found."""
    if one.found is None or one.found.label is None or not history.card.objectives:
        return None
    return float(one.found.label.values[history.card.objectives[0].output])


def _earned(history: History) -> list[tuple[Sample, float]]:
    """What each judged label earned, in the order of decisions."""
    problem = _problem(history.card)
    own = {sample.number: sample for sample in history.samples}
    data, numbers = labels_as_data([s.label for s in history.samples if s.label is not None], (), problem)
    return [(own[numbers[row]], value) for row, value in earnings(problem, data).items()]


def _problem(card: Scorecard) -> Problem:
    """The problem as far as judging labels needs it, which looks at no space: the stored one may need its files."""
    return Problem(
        card.goal,
        Molecules(),
        tuple(dict.fromkeys((*(g.output for g in card.objectives), *(c.output for c in card.constraints)))),
        card.objectives,
        card.fidelities,
        card.costs,
        card.constraints,
        desirability=card.desirability,
    )
