"""A campaign that learns from earlier ones: which it may learn from, what it learns, and that it stays so."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from theoros.orchestrator import earlier
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.errors import exit_code
from theoros.orchestrator.control import make_control
from theoros.orchestrator.explain import refitted
from theoros.orchestrator.simulate_methods import methods
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict

ORACLE = """
from theoros.oracles import Categorical, Parameters, Real, oracle

@oracle(space=Parameters({space}), outputs={{"yield": "{unit}"}}, name="{name}")
def bench(**parameters):
    raise RuntimeError("nobody may ask this")
"""
USUAL = "t=Real(0, 100), base=Categorical('KOH', 'NaOH')"


def spec(name: str, reference: str, **more: Any) -> dict[str, Any]:
    return {
        "campaign": name,
        "question": {"maximize": "yield"},
        "oracle": reference,
        "budget": {"labels": 12},
        "seed": 4,
    } | more


@pytest.fixture
def bench(tmp_path):
    """Open a campaign on a laboratory whose module is written for it."""
    opened: list[Campaign] = []

    def make(name: str, *, space: str = USUAL, unit: str = "%", oracle: str = "bench", **more: Any) -> Campaign:
        module = "lab_" + re.sub(r"\W", "_", f"{tmp_path.name}_{name}_{len(opened)}")
        (tmp_path / f"{module}.py").write_text(ORACLE.format(space=space, unit=unit, name=oracle))
        opened.append(
            Campaign(spec(name, f"{module}:bench", **more), tmp_path / "t.db", base=tmp_path, file="campaign.yaml")
        )
        return opened[-1]

    yield make
    for campaign in opened:
        campaign.close()


def hill(parameters, top=60.0):
    """A yield in per cent."""
    return 80 - ((parameters["t"] - top) / 10) ** 2 - 20 * (parameters["base"] != "KOH")


def work(campaign, n, answer=hill):
    """Answer `n` questions; returns what was asked."""
    asked = []
    for _ in range(n):
        asked.append(campaign.ask())
        campaign.tell(asked[-1], answer(asked[-1].parameters))
    return asked


def refusal(make) -> str:
    with pytest.raises(SpecError) as caught:
        make()
    assert exit_code(caught.value) == 2
    return str(caught.value)


def test_it_begins_with_what_was_best_and_needs_few_labels(bench):
    work(bench("first", oracle="other", initial=12), 10)
    campaign = bench("second", **{"learn from": "first"})
    assert campaign.plan.surrogate == "transfer_gp"
    assert campaign.plan.initial == 3
    first = work(campaign, 6, lambda parameters: hill(parameters, top=63))
    best = campaign.store.label_records("first")
    best = max(best, key=lambda label: float(label.values["yield"]))
    assert first[0].parameters == dict(best.candidate.data)
    assert campaign.top(1)["yield (%)"].iloc[0] > 79.5


def test_it_records_what_it_learned_from(bench):
    work(bench("first", oracle="other", initial=12), 6)
    campaign = bench("second", **{"learn from": ["first"]})
    work(campaign, 5)
    (event,) = [e for e in campaign.store.events("second") if e.kind == "learned_from"]
    assert event.message == "first: 6 of 6 labels"
    told = campaign.store.model_versions("second")[-1].hyperparameters["yield"]["learned_from"]["first"]
    assert told["labels"] == 6
    assert told["weight"] > 0.5


def test_a_resumed_campaign_learns_from_the_same_labels_although_the_earlier_one_has_grown(bench, tmp_path):
    first = bench("first", oracle="other", initial=12)
    work(first, 6)
    campaign = bench("second", **{"learn from": ["first"]})
    work(campaign, 1)
    work(first, 4)
    resumed = Campaign.open("second", tmp_path / "t.db")
    (ours,), (theirs,) = campaign.plan.problem.earlier, resumed.plan.problem.earlier
    assert len(theirs.dataset) == 6
    assert theirs.dataset.points == ours.dataset.points
    np.testing.assert_array_equal(theirs.dataset.values, ours.dataset.values)
    assert resumed.lessons == campaign.lessons
    again = Campaign(resumed.plan.spec, tmp_path / "t.db", base=tmp_path)  # the same file, run again
    assert again.lessons == campaign.lessons
    resumed.close(), again.close()


def test_earlier_labels_are_no_labels_of_this_campaign(bench):
    work(bench("first", oracle="other", initial=12), 8)
    campaign = bench("second", budget={"labels": 4}, **{"learn from": "first"})
    work(campaign, 4, lambda parameters: hill(parameters) - 50)
    assert len(campaign.labels()) == 4
    assert campaign.top(1)["yield (%)"].iloc[0] <= 30
    assert campaign.store.model_versions("second")[-1].n_labels <= 4


def test_what_the_database_can_answer_is_answered_and_the_next_question_asked(bench):
    work(bench("first", initial=12), 12)  # the same oracle with the same settings
    campaign = bench("second", **{"learn from": "first"})
    asked = campaign.ask()
    done = campaign.store.label_records("second")
    assert [label.from_cache for label in done] == [True] * 2
    assert asked.candidate.hash not in {label.candidate.hash for label in campaign.store.label_records("first")}


def test_units_are_converted(bench):
    work(bench("first", unit="", oracle="other", initial=12), 6, lambda parameters: hill(parameters) / 100)
    campaign = bench("second", **{"learn from": "first"})
    (learned,) = campaign.plan.problem.earlier
    expected = [hill(point.candidate.data) for point in learned.dataset.points]
    np.testing.assert_allclose(learned.dataset.values[:, 0], expected)


def test_other_ranges_are_learned_from_and_unknown_choices_are_left_out(bench):
    wider = "t=Real(-50, 200), base=Categorical('KOH', 'NaOH', 'LiOH')"
    first = bench("first", space=wider, oracle="other", initial=12)
    work(first, 12)
    labels = first.store.label_records("first")
    unknown = sum(label.candidate.data["base"] == "LiOH" for label in labels)
    assert 0 < unknown < 12
    campaign = bench("second", **{"learn from": "first"})
    (lesson,) = campaign.lessons
    assert (len(lesson.evaluations), lesson.left_out) == (12 - unknown, unknown)
    assert f"{unknown} can't be expressed in this space and are left out" in lesson.text
    assert any(label.candidate.data["t"] > 100 or label.candidate.data["t"] < 0 for label in labels)
    assert all(0 <= asked.parameters["t"] <= 100 for asked in work(campaign, 4))


def test_of_many_labels_the_best_and_some_others_are_learned_from(bench, monkeypatch):
    monkeypatch.setattr(earlier, "MOST_LABELS", 4)
    first = bench("first", oracle="other", initial=12)
    work(first, 10)
    (lesson,) = bench("second", **{"learn from": "first"}).lessons
    assert (len(lesson.evaluations), lesson.labels, lesson.left_out) == (4, 10, 0)
    ranked = sorted(first.store.label_records("first"), key=lambda label: -float(label.values["yield"]))
    assert {label.sequence for label in ranked[:2]} <= set(lesson.evaluations)


def test_the_given_initial_design_is_kept(bench):
    work(bench("first", oracle="other", initial=12), 5)
    assert bench("second", initial=6, **{"learn from": "first"}).plan.initial == 6


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"learn from": "frist"}, "learn from.0", "Did you mean 'first'?"),
        ({"learn from": ["first", "second"]}, "learn from.1", "can't learn from itself"),
        ({"learn from": "empty"}, "learn from.0", "has 0 labels of 'yield'"),
        (
            {"learn from": "first", "space": "x=Real(0, 1)"},
            "learn from.0",
            "asked about base, t, and this one asks about x",
        ),
        ({"learn from": "first", "unit": "eV"}, "learn from.0", "can't be converted to eV"),
        ({"learn from": "first", "surrogate": "random_forest"}, "surrogate", "Use 'transfer_gp'"),
        (
            {"learn from": "first", "space": "t=Real(0, 1), base=Categorical('a', 'b')"},
            "learn from.0",
            "only 0 have candidates",
        ),
    ],
)
def test_what_can_not_be_learned_from_is_refused_with_file_field_and_mend(bench, more, field, words):
    work(bench("first", oracle="other", initial=12), 3)
    bench("empty", oracle="other", initial=12).save()
    message = refusal(lambda: bench("second", **more))
    assert message.startswith(f"campaign.yaml: {field}: "), message
    assert words in message


def test_a_campaign_named_twice_is_refused():
    with pytest.raises(SpecError, match="learn from: a campaign is named twice"):
        spec_from_dict(spec("one", "synthetic") | {"learn from": ["first", "first"]})


def test_an_output_that_the_earlier_campaign_did_not_ask_for_is_refused(bench, tmp_path):
    work(bench("first", oracle="other", initial=12), 3)
    asks = spec("second", "synthetic", question={"minimize": "value"}) | {"learn from": "first"}
    assert "no output 'value'; it has yield" in refusal(lambda: Campaign(asks, tmp_path / "t.db"))


def test_molecules_and_several_fidelities_are_refused(tmp_path):
    ladder = spec("second", {"synthetic": {"function": "AugmentedBranin"}}, question={"minimize": "value"})
    told = refusal(lambda: Campaign(ladder | {"learn from": "first"}, tmp_path / "t.db"))
    assert "several fidelities" in told


def test_controls_learn_the_same_and_chance_learns_nothing(bench):
    first = bench("first", oracle="other", initial=12)
    work(first, 6)
    campaign = bench("second", **{"learn from": "first"})
    work(campaign, 2)
    work(first, 3)
    assert make_control(campaign, "train-once").lessons == campaign.lessons
    chance = make_control(campaign, "random")
    assert chance.lessons == ()
    assert chance.plan.problem.earlier == ()


def test_a_model_that_is_fitted_again_to_explain_it_has_learned_too(bench):
    work(bench("first", oracle="other", initial=12), 5)
    campaign = bench("second", **{"learn from": "first"})
    work(campaign, 4)
    assert refitted(campaign.store, "second").model.hyperparameters()["yield"]["learned_from"]["first"]["labels"] == 5


def test_a_simulation_has_nothing_to_learn_from(tmp_path):
    asks = spec("second", "synthetic", question={"minimize": "value"}) | {"learn from": "first"}
    with pytest.raises(SpecError, match="has no database"):
        methods(spec_from_dict(asks), tmp_path, ["theoros"], slots=1)


def test_a_campaign_without_it_is_stored_as_before():
    stored = spec_from_dict(spec("one", "synthetic", question={"minimize": "value"})).to_dict()
    assert "learn from" not in stored
    learning = spec_from_dict(spec("one", "synthetic", question={"minimize": "value"}) | {"learn from": ["a"]})
    assert spec_from_dict(learning.to_dict()) == learning
