"""A simulated campaign is the campaign: its decisions, its budget, its failures; and others are held beside it."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from theoros.models.data import Prediction
from theoros.models.objective import Objective
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.app import app
from theoros.orchestrator.cli.errors import exit_code
from theoros.orchestrator.exam import Exam
from theoros.orchestrator.simulate import Step, simulate
from theoros.orchestrator.simulate_methods import OWN, labels_of, methods, parse_methods, target_of, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.simulate_report import curve, final, labels_until, summary, usual_target, write_csv
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.orchestrator.yardstick import BestLabel, Hypervolume, ModelError, yardstick

BRANIN: dict[str, Any] = {
    "campaign": "branin",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 12},
    "workers": {"slots": 1},
    "seed": 4,
}


def run(tmp_path, name: str = OWN, *, slots: int = 1, seed: int = 4, **changes: Any) -> list[Step]:
    (method,) = methods(spec_from_dict(BRANIN | changes), tmp_path, [name], slots=slots)
    plan = with_seed(method.plan, seed)
    return simulate(plan, cheap_oracle(plan), method.start(plan), slots=slots, duration=pretended(plan, seed))


@pytest.fixture
def pool(tmp_path) -> dict[str, Any]:
    """Twelve rows of a library: y = -(x - 0.4)^2 on both colours, one of them better by 1."""
    rows = [f"{x / 10},{colour},{(colour == 'b') - (x / 10 - 0.4) ** 2}" for x in range(6) for colour in "ab"]
    (tmp_path / "pool.csv").write_text("\n".join(["x,colour,y", *rows]) + "\n")
    return {
        "question": {"maximize": "y"},
        "oracle": {"lookup": {"file": "pool.csv", "outputs": {"y": "y"}}},
        "budget": {"labels": 30},
        "initial": 3,
    }


@pytest.mark.parametrize(("lookahead", "failure_rate"), [("auto", 0.0), (0, 0.0), ("auto", 0.3)])
@pytest.mark.usefixtures("local_ray")
def test_what_is_simulated_is_what_is_run(tmp_path, lookahead, failure_rate):
    workers = {"slots": 1, "lookahead": lookahead}
    oracle = {"synthetic": {"function": "Branin", "failure_rate": failure_rate}}
    campaign = Campaign(BRANIN | {"workers": workers, "oracle": oracle}, tmp_path / "t.db")
    assert campaign.run().finished
    real = [evaluation.candidate.hash for evaluation in campaign.store.evaluations("branin")]
    assert [step.hash for step in run(tmp_path, workers=workers, oracle=oracle)] == real


def test_a_simulation_repeats_with_its_seed_and_differs_with_another(tmp_path):
    first, again, other = (run(tmp_path, seed=seed) for seed in (4, 4, 5))
    assert [step.hash for step in first] == [step.hash for step in again]
    assert [step.hash for step in first] != [step.hash for step in other]


@pytest.mark.parametrize(
    "name", [OWN, "random", "sobol", "train-once", "greedy", "portfolio", "random_forest", "tpe", "gp"]
)
def test_every_method_spends_the_budget_and_no_more(tmp_path, name):
    steps = run(tmp_path, name)
    assert [step.number for step in steps] == list(range(1, 13))
    assert (steps[-1].cost, steps[-1].labels) == (12.0, 12)
    assert len({step.hash for step in steps}) == 12


def test_the_points_of_sobol_are_one_sequence(tmp_path):
    """Points of one scrambled sequence fill every half of every axis alike."""
    steps = run(tmp_path, "sobol", budget={"labels": 16})
    oracle = cheap_oracle(methods(spec_from_dict(BRANIN), tmp_path, ["sobol"], slots=1)[0].plan)
    values = [[float(part.split("=")[1]) for part in step.candidate.split(", ")] for step in steps]
    for i, parameter in enumerate(oracle.space.parameters.values()):
        middle = (parameter.low + parameter.high) / 2
        assert sum(value[i] < middle for value in values) == 8


def test_slots_work_side_by_side_in_simulated_time(tmp_path):
    oracle = {"synthetic": {"function": "Branin", "delay": {"median": 30, "sigma": 1}}}
    started = time.monotonic()
    serial, parallel = (run(tmp_path, "random", slots=slots, oracle=oracle) for slots in (1, 4))
    assert time.monotonic() - started < serial[-1].ended, "a pretended delay is not waited for"
    assert len(serial) == len(parallel) == 12
    assert parallel[-1].ended < 0.6 * serial[-1].ended
    assert [step.ended for step in parallel] == sorted(step.ended for step in parallel)
    assert [step.number for step in parallel] != sorted(step.number for step in parallel)


def test_decisions_with_several_slots_know_what_is_pending(tmp_path):
    steps = run(tmp_path, slots=4, budget={"labels": 14})
    assert len({step.hash for step in steps}) == 14


def test_failures_are_paid_for_and_teach_nothing_wrong(tmp_path):
    steps = run(tmp_path, oracle={"synthetic": {"function": "Branin", "failure_rate": 0.4}})
    failed = [step for step in steps if math.isnan(step.value)]
    assert 0 < len(failed) < 12
    assert not any(step.feasible for step in failed)
    assert steps[-1].cost == 12


def test_cheap_fidelities_cost_their_share(tmp_path):
    levels = [{"name": "low", "s": 0.6, "cost": 0.25}, {"name": "high", "s": 1.0, "cost": 1.0}]
    oracle = {"synthetic": {"function": "AugmentedBranin", "fidelities": levels}}
    steps = run(tmp_path, oracle=oracle, budget={"cost": 8})
    low = [step for step in steps if step.fidelity == "low"]
    assert low
    assert all(math.isnan(step.value) for step in low)
    assert steps[-1].cost == pytest.approx(0.25 * len(low) + steps[-1].labels)
    assert steps[-1].cost <= 8


def test_an_exhausted_pool_ends_the_simulation(tmp_path, pool):
    for name in (OWN, "random", "tpe"):
        steps = run(tmp_path, name, **pool)
        assert len({step.hash for step in steps}) == len(steps) == 12, name
        assert max(step.value for step in steps) == pytest.approx(1.0)


def test_enough_ends_it_early(tmp_path):
    (method,) = methods(spec_from_dict(BRANIN), tmp_path, ["random"], slots=1)
    plan = method.plan
    steps = simulate(
        plan, cheap_oracle(plan), method.start(plan), duration=pretended(plan, 0), enough=lambda found: len(found) == 5
    )
    assert len(steps) == 5


def test_an_expensive_oracle_is_refused_unless_it_is_forced(tmp_path):
    spec = spec_from_dict(BRANIN | {"oracle": "dear_laboratory:lab"})
    (tmp_path / "dear_laboratory.py").write_text(
        "from theoros import Parameters, Quantity, Real, oracle\n"
        "@oracle(space=Parameters(x=Real(0, 1)), outputs={'value': Quantity()})\n"
        "def lab(x):\n    return {'value': x}\n"
    )
    plan = methods(spec, tmp_path, [OWN], slots=1)[0].plan
    with pytest.raises(SpecError, match=r"may be expensive.*--force"):
        cheap_oracle(plan)
    assert cheap_oracle(plan, force=True).name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"question": {"learn": "value"}}, "tpe of Optuna look for the best label, and this campaign learns"),
        ({"budget": {"wall_time": "1 h"}}, "takes no wall time"),
        ({"learn from": ["other"]}, "no earlier campaigns"),
    ],
)
def test_what_cannot_be_simulated_is_said(tmp_path, changes, message):
    with pytest.raises(SpecError, match=message):
        labels_of(methods(spec_from_dict(BRANIN | changes), tmp_path, [OWN, "tpe"], slots=1)[0].plan)


def test_a_method_that_does_not_exist_is_answered_with_the_nearest():
    assert parse_methods("random, tpe,random") == [OWN, "random", "tpe"]
    with pytest.raises(SpecError, match="Did you mean 'sobol'"):
        parse_methods("sobool")
    with pytest.raises(SpecError, match="There are random, sobol, train-once"):
        parse_methods("zzz")


@pytest.mark.parametrize("reason", ["molecules", "constraints"])
def test_optuna_says_what_it_has_no_space_for(tmp_path, reason):
    (tmp_path / "m.csv").write_text("smiles,value\nC,1\nCC,2\nCCC,3\n")
    space = {"parameters": {"x1": {"real": [-5, 10]}, "x2": {"real": [0, 15]}}, "constraints": ["x1 + x2 <= 12"]}
    molecules = {"oracle": {"lookup": {"file": "m.csv", "smiles": "smiles", "outputs": {"value": "value"}}}}
    spec = spec_from_dict(BRANIN | (molecules if reason == "molecules" else {"space": space}))
    with pytest.raises(SpecError, match="Leave out Optuna's samplers"):
        methods(spec, tmp_path, ["tpe"], slots=1)


def test_optuna_is_told_of_constraints(tmp_path):
    question = {"minimize": "value", "subject to": ["constraint_1 >= 0"]}
    oracle = {"synthetic": {"function": "ConstrainedGramacy"}}
    steps = run(tmp_path, "tpe", oracle=oracle, question=question, budget={"labels": 30})
    assert len(steps) == 30
    assert 0 < sum(step.feasible for step in steps) < 30


def step(number: int, value: float, *, feasible: bool = True) -> Step:
    where = (f"x={number}", str(number), "full")
    return Step(number, *where, (value,), feasible, float(number), number, 2.0 * number, 0.1)


DOWN = BestLabel(Objective("y", "minimize"), "best y")


def test_the_best_so_far_counts_what_is_feasible_by_cost_and_by_time():
    steps = [step(1, 3.0), step(2, 1.0, feasible=False), step(3, math.nan, feasible=False), step(4, 2.0)]
    assert curve(steps, DOWN, np.array([0.5, 1, 3.9, 4])) == pytest.approx([math.nan, 3, 3, 2], nan_ok=True)
    assert curve(steps, DOWN, np.array([1.9, 2, 8]), clock=True) == pytest.approx([math.nan, 3, 2], nan_ok=True)
    assert final(steps, DOWN) == 2.0
    assert labels_until(steps, DOWN, 2.0) == 4
    assert labels_until(steps, DOWN, 1.0) == math.inf
    assert math.isnan(final([], DOWN))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.sampled_from(["maximize", "minimize", "match"]))
def test_the_best_so_far_never_gets_worse(values, sense):
    goal = Objective("y", sense, 1.5)
    steps = [step(i, value) for i, value in enumerate(values, 1)]
    found = curve(steps, BestLabel(goal, "best y"), np.arange(1.0, len(values) + 1))
    assert (np.diff([goal.utility(value) for value in found]) >= 0).all()
    assert goal.utility(found[-1]) == max(goal.utility(value) for value in values)


def test_seeds_that_never_get_there_count_as_never():
    runs = [[step(1, 5.0), step(2, 1.0)], [step(1, 5.0), step(2, 4.0)], [step(1, 0.0)]]
    found = summary("own", runs, DOWN, budget=2, target=1.0)
    assert (found.n, found.reached, found.labels) == (3, 2, (1.0, 2.0, math.inf))
    assert found.found[-1] == (0.5, 1.0, 2.5)
    assert usual_target({"own": runs}, "own", DOWN) == 1.0


def test_a_target_of_the_file_is_a_distance_where_a_value_is_matched_and_an_error_where_one_learns(tmp_path):
    stop = {"target": 0.5, "error": 0.25}
    questions = ({"minimize": "value"}, {"match": {"value": 3.0}}, {"learn": "value"})
    specs = [spec_from_dict(BRANIN | {"question": question, "stop": stop}) for question in questions]
    plans = [methods(spec, tmp_path, [OWN], slots=1)[0].plan for spec in specs]
    assert [target_of(plan) for plan in plans] == [0.5, 3.5, 0.25]


FRONT: dict[str, Any] = {
    "question": {"minimize": ["value_1", "value_2"]},
    "oracle": {"synthetic": {"function": "BraninCurrin"}},
}


def pair(number: int, first: float, second: float, *, feasible: bool = True) -> Step:
    return Step(number, "", str(number), "full", (first, second), feasible, float(number), number, float(number), 0.1)


def test_with_several_objectives_the_volume_counts_from_the_worst_label_of_all_or_what_is_said_to_be_worst():
    up = (Objective("a", "maximize"), Objective("b", "minimize"))
    steps = [pair(1, 0.0, 4.0), pair(2, 2.0, 1.0), pair(3, 9.0, 0.0, feasible=False), pair(4, 3.0, 2.0)]
    others = [pair(1, -1.0, 5.0), pair(2, math.nan, math.nan, feasible=False)]
    measure = Hypervolume.beside(up, [*steps, *others])
    # From a = -1, b = 5: 1 x 1, then 3 x 4, then one more column 1 wide and 3 high.
    assert measure.so_far(steps).tolist() == [1.0, 12.0, 12.0, 15.0]
    said = Hypervolume.beside((Objective("a", "maximize", worst=1.0), up[1]), steps)
    assert said.so_far(steps).tolist() == [0.0, 3.0, 3.0, 5.0]
    assert labels_until(steps, measure, 12.0) == 2


@pytest.mark.parametrize("name", [OWN, "random", "tpe", "nsga2"])
def test_several_objectives_are_simulated_by_every_method(tmp_path, name):
    steps = run(tmp_path, name, **FRONT)
    plan = methods(spec_from_dict(BRANIN | FRONT), tmp_path, [name], slots=1)[0].plan
    found = yardstick(plan.problem, plan.scorecard, steps).so_far(steps)
    assert all(len(step.values) == 2 for step in steps)
    assert len(found) == 12
    assert (np.diff(found) >= 0).all()
    assert found[-1] > 0


def test_nsga2_evolves_on_a_library_too(tmp_path, pool):
    """Its trials are told again as the rows that stood for them, and keep their generation."""
    from theoros.orchestrator.simulate_optuna import OptunaChooser

    rows = [f"{x / 99},{x % 7},{(x - 50) ** 2},{x % 7}" for x in range(100)]
    (tmp_path / "wide.csv").write_text("\n".join(["x,k,y,z", *rows]) + "\n")
    spec = pool | {
        "question": {"minimize": ["y", "z"]},
        "oracle": {"lookup": {"file": "wide.csv", "outputs": {"y": "y", "z": "z"}}},
        "budget": {"labels": 60},
    }
    plan = methods(spec_from_dict(BRANIN | spec), tmp_path, ["nsga2"], slots=1)[0].plan
    chooser = OptunaChooser("NSGAIISampler", plan)
    simulate(plan, cheap_oracle(plan), chooser, duration=pretended(plan, 0))
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in chooser._study.trials if trial.values]
    assert sorted(set(generations)) == [0, 1]


class Straight:
    """A model that predicts the same of everything."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, points) -> Prediction:
        mean = np.full((len(points), 1), self.value)
        return Prediction(("value",), mean, mean, mean)


def test_a_model_is_examined_on_candidates_of_which_nobody_is_told(tmp_path):
    (method,) = methods(spec_from_dict(BRANIN | {"question": {"learn": "value"}}), tmp_path, [OWN], slots=1)
    oracle = cheap_oracle(method.plan)
    exam = Exam.of(method.plan, oracle, n=50)
    truth = np.array([float(oracle.evaluate(p.candidate, p.fidelity).values["value"]) for p in exam.points])
    assert len(truth) == 50
    assert exam.error(Straight(3.0)) == pytest.approx(np.sqrt(np.mean((truth - 3.0) ** 2)))
    assert math.isnan(exam.error(None))
    assert Exam.of(method.plan, oracle, n=50).points == exam.points
    assert Exam.of(with_seed(method.plan, 9), oracle, n=50).points != exam.points


def test_candidates_that_fail_are_no_part_of_an_exam(tmp_path):
    oracle = {"synthetic": {"function": "Branin", "failure_rate": 0.5}}
    spec = spec_from_dict(BRANIN | {"question": {"learn": "value"}, "oracle": oracle})
    (method,) = methods(spec, tmp_path, [OWN], slots=1)
    assert 20 < len(Exam.of(method.plan, cheap_oracle(method.plan), n=80).points) < 60


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("name", [OWN, "random", "sobol"])
def test_what_is_learned_is_examined_after_every_label(tmp_path, name, slots):
    spec = BRANIN | {"question": {"learn": "value"}}
    (method,) = methods(spec_from_dict(spec), tmp_path, [name], slots=slots)
    exam, chooser = Exam.of(method.plan, cheap_oracle(method.plan), n=60), method.start(method.plan)
    steps = simulate(
        method.plan,
        cheap_oracle(method.plan),
        chooser,
        slots=slots,
        duration=pretended(method.plan, 0),
        error=lambda: exam.error(chooser.model),
    )
    errors = ModelError("").so_far(steps)
    assert math.isnan(errors[0])
    assert np.isfinite(errors[4:]).all()
    assert errors[-1] < np.std(exam.values)


def test_the_file_of_several_objectives_and_of_what_is_learned_says_what_had_been_found(tmp_path):
    steps = [pair(1, 0.0, 4.0), pair(2, 2.0, 1.0)]
    measure = Hypervolume((Objective("a"), Objective("b", "minimize")), (-1.0, -5.0))
    rows = pd.read_csv(write_csv(tmp_path / "front.csv", {"own": [steps]}, [0], measure, ["a", "b"]))
    assert rows[["a", "b", "hypervolume"]].to_numpy().tolist() == [[0, 4, 1], [2, 1, 12]]
    learned = [Step(1, "", "1", "full", (2.0,), True, 1.0, 1, 1.0, 0.1, error=0.5)]
    rows = pd.read_csv(write_csv(tmp_path / "learned.csv", {"own": [learned]}, [0], ModelError(""), ["a"]))
    assert rows[["value", "error"]].to_numpy().tolist() == [[2.0, 0.5]]


@pytest.mark.parametrize(("question", "name"), [({"learn": "value"}, "error"), (FRONT["question"], "hypervolume")])
def test_the_command_measures_what_the_question_asks_for(tmp_path, monkeypatch, question, name):
    monkeypatch.chdir(tmp_path)
    oracle = FRONT["oracle"] if name == "hypervolume" else BRANIN["oracle"]
    (tmp_path / "b.yaml").write_text(
        yaml.safe_dump(BRANIN | {"question": question, "oracle": oracle, "budget": {"labels": 6}, "initial": 4})
    )
    done = CliRunner().invoke(app, ["simulate", "b.yaml", "--against", "random", "-n", "1"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "results" / "branin.simulated"
    assert pd.read_csv(folder / "evaluations.csv")[name].notna().iloc[-1]
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_a_table_and_leaves_numbers_and_a_plot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "branin.yaml").write_text(yaml.safe_dump(BRANIN | {"budget": {"labels": 8}}))
    done = CliRunner().invoke(app, ["simulate", "branin.yaml", "--against", "random,sobol", "-n", "2", "--slots", "2"])
    assert done.exit_code == 0, done.output
    assert "median [quartiles]" in done.output
    assert all(name in done.output for name in ("theoros", "random", "sobol"))
    folder = tmp_path / "results" / "branin.simulated"
    rows = pd.read_csv(folder / "evaluations.csv")
    assert rows.groupby(["method", "seed"]).size().tolist() == [8] * 6
    assert sorted(rows["seed"].unique()) == [4, 5]
    assert (folder / "best.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_refuses_what_it_does_not_know(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "branin.yaml").write_text(yaml.safe_dump(BRANIN))
    done = CliRunner().invoke(app, ["simulate", "branin.yaml", "--against", "sobool"])
    assert isinstance(done.exception, SpecError)
    assert exit_code(done.exception) == 2
