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

from theoros.models.objective import Objective
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.app import app
from theoros.orchestrator.cli.errors import exit_code
from theoros.orchestrator.simulate import Step, simulate
from theoros.orchestrator.simulate_methods import OWN, labels_of, methods, parse_methods, with_seed
from theoros.orchestrator.simulate_oracle import cheap_oracle, pretended
from theoros.orchestrator.simulate_report import curve, final, labels_until, summary, usual_target
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict

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


@pytest.mark.parametrize("name", [OWN, "random", "sobol", "train-once", "greedy", "random_forest", "tpe", "gp"])
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
    assert time.monotonic() - started < 20, "a pretended delay is not waited for"
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
        ({"question": {"learn": "value"}}, "this campaign learns"),
        ({"budget": {"wall_time": "1 h"}}, "takes no wall time"),
        (
            {
                "question": {"minimize": ["value_1", "value_2"]},
                "oracle": {"synthetic": {"function": "BraninCurrin"}},
            },
            "no label is the best",
        ),
    ],
)
def test_what_cannot_be_simulated_is_said(tmp_path, changes, message):
    with pytest.raises(SpecError, match=message):
        labels_of(methods(spec_from_dict(BRANIN | changes), tmp_path, [OWN], slots=1)[0].plan)


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
    with pytest.raises(SpecError, match="Leave out tpe and gp"):
        methods(spec, tmp_path, ["tpe"], slots=1)


def test_optuna_is_told_of_constraints(tmp_path):
    question = {"minimize": "value", "subject to": ["constraint_1 >= 0"]}
    oracle = {"synthetic": {"function": "ConstrainedGramacy"}}
    steps = run(tmp_path, "tpe", oracle=oracle, question=question, budget={"labels": 30})
    assert len(steps) == 30
    assert 0 < sum(step.feasible for step in steps) < 30


def step(number: int, value: float, *, feasible: bool = True) -> Step:
    return Step(number, f"x={number}", str(number), "full", value, feasible, float(number), number, 2.0 * number, 0.1)


DOWN = Objective("y", "minimize")


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
    found = curve([step(i, value) for i, value in enumerate(values, 1)], goal, np.arange(1.0, len(values) + 1))
    assert (np.diff([goal.utility(value) for value in found]) >= 0).all()
    assert goal.utility(found[-1]) == max(goal.utility(value) for value in values)


def test_seeds_that_never_get_there_count_as_never():
    runs = [[step(1, 5.0), step(2, 1.0)], [step(1, 5.0), step(2, 4.0)], [step(1, 0.0)]]
    found = summary("own", runs, DOWN, budget=2, target=1.0)
    assert (found.n, found.reached, found.labels) == (3, 2, (1.0, 2.0, math.inf))
    assert found.best[-1] == (0.5, 1.0, 2.5)
    assert usual_target({"own": runs}, "own", DOWN) == 1.0


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
