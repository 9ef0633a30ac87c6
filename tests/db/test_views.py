"""What people see through SQL views is what the store knows."""

from __future__ import annotations

import pytest

from theoros.db import CandidateRecord, OfferRecord, OutputValue, ParentRecord
from theoros.db.wide import column_names


@pytest.fixture
def three(store, work, make):
    """Three labels (y = 3, 1, 2), a failure and a queued evaluation."""
    work.ask(1, 2, 3, 4, 5, predictions=[make.prediction(1.0, 0.5)], model_version=2, seconds=0.25)
    claims = store.claim(work.name, worker="w", limit=4)
    for claim, value in zip(claims, (3.0, 1.0, 2.0), strict=False):
        store.complete(claim.token, make.answer(value, dipole=[0, 1, value]))
    store.fail(claims[3].token, make.failure("out of memory", retry_after=None))
    return work


def test_labels_long_has_a_row_for_every_number(store, three):
    rows = store.query(
        "SELECT * FROM labels_long WHERE campaign = :c ORDER BY sequence, output, position", {"c": three.name}
    )
    assert len(rows) == 3 * (1 + 3)
    assert rows.query("output == 'y'")["value"].tolist() == [3.0, 1.0, 2.0]
    assert set(rows["unit"]) == {"eV", "eV/A"}
    assert set(rows["proposer"]) == {"sobol"}


def test_best_ranks_scalars_both_ways(store, three):
    rows = store.query("SELECT * FROM best ORDER BY rank_ascending")
    assert rows["output"].unique().tolist() == ["y"]
    assert rows["value"].tolist() == [1.0, 2.0, 3.0]
    assert rows["rank_descending"].tolist() == [3, 2, 1]
    assert rows["candidate"].tolist() == ["x=1.0", "x=1.5", "x=0.5"]


def test_decisions_explained_sets_what_was_predicted_beside_what_came(store, three):
    rows = store.query("SELECT * FROM decisions_explained ORDER BY sequence")
    assert rows["state"].tolist() == ["done", "done", "done", "abandoned", "queued"]
    assert rows["error_in_std"].tolist()[:3] == [4.0, 0.0, 2.0]
    assert rows["observed"].isna().tolist() == [False] * 3 + [True] * 2
    assert rows["seconds"].tolist() == [0.25] * 5
    assert store.decisions(three.name)["predicted_std"].tolist() == [0.5] * 5


def test_failures_say_where_and_why(store, three):
    (row,) = store.query("SELECT * FROM failures").itertuples()
    assert (row.failure_class, row.message, row.attempt, row.host) == ("out of memory", "it took too long", 1, "node1")
    assert row.stderr_tail.startswith("Traceback")


def test_utilisation_adds_up_the_attempts(store, three):
    (row,) = store.query("SELECT * FROM utilisation").itertuples()
    assert (row.attempts, row.done, row.failed, row.running) == (4, 3, 1, 0)
    assert row.busy_seconds == pytest.approx(3 * 2.0 + 3.0)
    assert row.cost == pytest.approx(3.0)
    assert row.first_start <= row.last_finish


def test_proposers_add_up_what_each_made_and_what_became_of_it(store, work, make):
    pool = [OfferRecord("a", 30, 0.5, 0.75, 0.25), OfferRecord("b", 10, 1.5, 0.25, 0.5)]
    work.ask(1, proposer="a", offers=[OfferRecord("a", 5, 0.25)])
    work.ask(2, proposer="a", offers=pool)
    work.ask(3, proposer="old")
    store.complete(work.claim().token, make.answer())
    store.fail(work.claim().token, make.failure(retry_after=None))
    rows = store.proposers(work.name).set_index("proposer")
    assert rows.index.tolist() == ["a", "old", "b"]
    assert rows.loc["a", ["decisions", "labels", "failed", "pools", "proposals"]].tolist() == [2, 1, 1, 2, 35]
    assert rows.loc["a", ["seconds", "mean_share", "mean_promise"]].tolist() == [0.75, 0.75, 0.25]
    assert rows.loc["a", "promise_per_second"] == 0.5, "seconds in which nothing could be promised do not count"
    assert rows.loc["b", ["decisions", "labels", "proposals"]].tolist() == [0, 0, 10]
    assert rows.loc["b", "promise_per_second"] == pytest.approx(1 / 3)
    assert rows.loc["old", ["decisions", "pools"]].tolist() == [1, 0]
    assert rows.loc["old", ["proposals", "seconds", "promise_per_second"]].isna().all()


def test_parents_are_told_with_the_evaluation_that_asked_about_them(store, work):
    work.ask(1, 2)
    child = work.ask(3, parents=[ParentRecord("x=1.5", "x=1.0"), ParentRecord("x=1.5", "x=7.0")])[0]
    work.ask(14)  # x=7 is asked only after its child
    rows = store.parents(work.name)
    assert rows["sequence"].tolist() == [child.sequence] * 2
    assert rows["child"].tolist() == rows["candidate"].tolist() == ["x=1.5"] * 2
    assert rows["parent"].tolist() == ["x=1.0", "x=7.0"]
    assert rows["parent_sequence"].tolist()[0] == 2
    assert rows["parent_sequence"].isna().tolist() == [False, True]


def test_the_wide_view_has_a_column_for_every_parameter_and_output(store, three):
    assert store.create_labels_wide(three.name) == "labels_wide_reactor"
    rows = store.query("SELECT * FROM labels_wide_reactor ORDER BY sequence")
    assert rows["x"].tolist() == [0.5, 1.0, 1.5]
    assert rows["y"].tolist() == [3.0, 1.0, 2.0]
    assert rows["dipole[2]"].tolist() == [3.0, 1.0, 2.0]


def test_the_wide_view_is_made_anew_when_there_is_more_to_show(store, three, make):
    store.create_labels_wide(three.name)
    store.complete(store.claim(three.name, worker="w")[0].token, make.answer(9.0, charge=0.5))
    store.create_labels_wide(three.name)
    assert store.query("SELECT charge FROM labels_wide_reactor ORDER BY sequence")["charge"].tolist()[-1] == 0.5


EVIL = ['x"; DROP TABLE labels; --', "it's %s {} :name", "naïve π [°C]", "y" * 200, "Y", "value\\", "sequence"]


def test_names_from_the_database_are_quoted_whatever_they_hold(store, make):
    name = 'a"b; DROP VIEW best; --'
    store.create_campaign(name, goal="learn", spec={}, seed=0)
    candidate = CandidateRecord("evil", "parameters", dict.fromkeys(EVIL, 1.0) | {"text": "it's :x"}, "evil")
    store.enqueue(name, [make.decision(1, candidate=candidate)], required_outputs=[])
    (claim,) = store.claim(name, worker="w")
    outputs = {
        output: OutputValue(make.answer(number).outputs["y"].value) for number, output in enumerate([*EVIL, "y"])
    }
    answer = make.answer()
    object.__setattr__(answer, "outputs", outputs)
    store.complete(claim.token, answer)
    view = store.create_labels_wide(name)
    assert view == "labels_wide_a_b_drop_view_best"
    row = store.query(f"SELECT * FROM {view}").iloc[0]
    assert row['x"; DROP TABLE labels; --'] == 1.0
    assert row['x"; DROP TABLE labels; --_2'] == 0.0
    assert row["it's %s {} :name_2"] == 1.0
    assert row["sequence"] == 1
    assert row["text"] == "it's :x"
    assert len(store.labels(name)) == 1


def test_campaigns_whose_names_look_alike_have_views_of_their_own(store):
    names = ["a-b", "a.b", "A b"]
    for name in names:
        store.create_campaign(name, goal="learn", spec={}, seed=0)
    views = [store.create_labels_wide(name) for name in names]
    assert views == ["labels_wide_a_b", "labels_wide_a_b_2", "labels_wide_a_b_3"]
    assert store.create_labels_wide("a-b") == views[0]


def test_column_names_stay_distinct_when_they_are_cut_or_compared_without_case():
    names = column_names(["y" * 100, "y" * 101, "Y", "y", "", "sequence", "é" * 60])
    assert len({name.casefold() for name in names}) == len(names)
    assert all(len(name.encode()) <= 63 for name in names)
    assert "sequence" not in names
