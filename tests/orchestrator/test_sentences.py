"""What a report says in words of a campaign beside its control."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.orchestrator.molecule_book import ALKANES, CARD, Book
from theoros.db import Store
from theoros.models.data import OutcomeConstraint
from theoros.models.forecast import Forecast
from theoros.orchestrator.report.gallery import interval
from theoros.orchestrator.report.sentences import compare

#: Feasible is what has no polar surface, as alkanes have none.
DRY = replace(CARD, constraints=(OutcomeConstraint("tpsa", "<=", 1.0),))
WET = ["CO", "CCO", "CCCO", "CCCCO"]


def written(store: Store, ours: list[str], theirs: list[str]) -> str:
    """What is said of a campaign that asked for `ours` and its control, which asked for `theirs`."""
    for name, asked in (("own", ours), ("own.random", theirs)):
        book = Book(store, name, DRY, control_of="own" if asked is theirs else None)
        for smiles in asked:
            book.label(smiles)
    return compare(store, "own", "own.random")


def test_labels_that_are_not_feasible_count(store):
    told = written(store, [*WET, *ALKANES[2:4]], [*WET[:3], ALKANES[0]])
    assert told == ("own.random: best 1.4163 in 4 labels; own: 2.5866 in 6, and as good as the control's best after 5.")


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        (WET[:2], ALKANES[:1], "own.random: best 1.4163 in 1 labels; own: nothing feasible in 2."),
        ([], ALKANES[:1], "own.random: best 1.4163 in 1 labels; own: nothing feasible in 0."),
        (ALKANES[:1], WET[:2], "own.random found nothing feasible."),
        (ALKANES[:1], [], "own.random found nothing feasible."),
    ],
)
def test_who_found_nothing_feasible_is_named(store, ours, theirs, told):
    assert written(store, ours, theirs) == told


def test_an_interval_without_a_finite_width_is_a_dash():
    endless, unknown = Forecast(1.0, math.inf), Forecast(math.nan, 1.0)
    assert interval(endless) == interval(unknown) == interval(Forecast(1.0, math.nan)) == "–"
    assert interval(Forecast(1.0, 0.0)) == "1 to 1"
