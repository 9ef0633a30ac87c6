"""What is said of formulations: shares of what the whole table holds, for the questions that a campaign is asked."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import formulations
from theoros.models.objective import Objective
from theoros.orchestrator.simulate import Step

VALUES = np.array([[0.2, 0.6, 3.0], [0.1, 0.3, 0.5], [0.0, 0.1, 4.0], [0.15, 0.5, 1.0]])


@pytest.fixture
def data(tmp_path):
    """A folder with four formulations."""
    folder = tmp_path / "reactions" / "lnp3"
    folder.mkdir(parents=True)
    rows = [f"{6 * i},Stearic_acid,120,{i},0.0,{','.join(map(str, row))}" for i, row in enumerate(VALUES)]
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def step(row: int, *outputs: int) -> Step:
    return Step(1, "", str(row), "table", tuple(VALUES[row][list(outputs)]), True, 1.0, 1, 1.0, 0.1)


def test_the_whole_table_holds_all_of_it():
    found = formulations._volumes([step(row, 0, 1, 2) for row in (2, 3, 1, 0)], VALUES)
    assert found[0] == 0.0, "the worst of everything covers nothing"
    assert found == sorted(found)
    assert found[-1] == pytest.approx(1.0)


def test_the_largest_desirability_is_all_there_is():
    found = formulations._desirabilities([step(row, 0, 1, 2) for row in (2, 0, 3)], "theoros", VALUES)
    # The worst, and one whose particles are too large, are of no use; the last is the best of the table.
    assert found == pytest.approx([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("question", "name"), [("front", "tpe"), ("desirability", "theoros"), ("desirability", "random")]
)
def test_questions_are_asked_as_a_campaign_understands_them(data, tmp_path, question, name):
    table, values = formulations.written(data, tmp_path)
    problem = formulations.competitor(table, question, name).plan.problem
    assert values == pytest.approx(VALUES)
    assert problem.aim == ("pareto" if question == "front" else "desirability")
    assert [goal.sense for goal in problem.objectives] == ["maximize", "maximize", "minimize"]


def test_one_campaign_is_told_the_desirability_alone(data, tmp_path):
    table, _ = formulations.written(data, tmp_path)
    problem = formulations.competitor(table, "desirability", "desired_column").plan.problem
    assert problem.objectives == (Objective("desired", "maximize"),)
    assert problem.outputs == ("desired",)
