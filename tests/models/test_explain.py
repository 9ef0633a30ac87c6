"""What explanations say of surrogates whose mathematics is known."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models.data import Prediction, Problem
from theoros.models.explain.dependence import STEPS, dependences
from theoros.models.explain.sensitivities import sensitivities
from theoros.models.explain.what_if import what_if
from theoros.models.objective import Objective
from theoros.models.surrogates.random_forest import RandomForest
from theoros.models.widening import Widening
from theoros.oracles.spaces import Categorical, Integer, Parameters, Real


@dataclass(frozen=True)
class Known:
    """A surrogate whose means are a function of the candidate's data."""

    function: Any
    outputs: tuple[str, ...] = ("y",)
    std: float = 0.5
    noise: float = 0.0
    name: str = "known"
    n_labels: int = 0
    fell_back: bool = False
    message: str = ""

    def predict(self, points):
        mean = np.array([[self.function(point.candidate.data)] for point in points], dtype=float).reshape(-1, 1)
        return Prediction(self.outputs, mean, np.full_like(mean, self.std), np.full_like(mean, self.noise))

    def hyperparameters(self):
        return MappingProxyType({})


def ishigami(x) -> float:
    """Ishigami & Homma (1990), a = 7, b = 0.1, on (-pi, pi)^3."""
    return np.sin(x["x1"]) + 7 * np.sin(x["x2"]) ** 2 + 0.1 * x["x3"] ** 4 * np.sin(x["x1"])


def weights(found) -> dict[str, float]:
    return {item.name: item.total for item in found.items}


def test_sobol_indices_of_the_ishigami_function_are_its_own(make_problem):
    problem = make_problem(Parameters(**{name: Real(-np.pi, np.pi) for name in ("x1", "x2", "x3")}))
    found = sensitivities(Known(ishigami), problem, "y", n=2048)
    assert (found.method, found.n) == ("sobol", 2048)
    first = {item.name: item.first for item in found.items}
    assert first == pytest.approx({"x1": 0.3139, "x2": 0.4424, "x3": 0.0}, abs=0.02)
    assert weights(found) == pytest.approx({"x1": 0.5576, "x2": 0.4424, "x3": 0.2437}, abs=0.02)
    assert all(item.low <= item.total <= item.high for item in found.items)
    assert [item.name for item in found.items] == ["x1", "x2", "x3"]


def test_a_mixed_space_is_weighed_by_its_settings(make_problem):
    """y = 3 [base = b] + n with n in 1..4: variances 9 * 2/9 = 2 and 15/12 = 1.25."""
    problem = make_problem(Parameters(base=Categorical("a", "b", "c"), n=Integer(1, 4), idle=Real(0, 1)))
    model = Known(lambda x: 3 * (x["base"] == "b") + x["n"])
    found = weights(sensitivities(model, problem, "y", n=1024))
    assert found == pytest.approx({"base": 2 / 3.25, "n": 1.25 / 3.25, "idle": 0.0}, abs=0.05)


def test_a_constant_surrogate_is_sensitive_to_nothing(make_problem, square):
    found = sensitivities(Known(lambda x: 4.0), make_problem(square), "y")
    assert [item.total for item in found.items] == [0.0, 0.0]


def test_where_parameters_are_constrained_their_values_are_shuffled(make_problem):
    space = Parameters(x=Real(0, 1), y=Real(0, 1), z=Real(0, 1), constraints=["x + y + z <= 2"])
    found = sensitivities(Known(lambda x: 2 * x["x"] + x["y"]), make_problem(space), "y", n=1024)
    assert found.method == "permutation"
    assert [item.name for item in found.items] == ["x", "y", "z"]
    assert all(item.first is None for item in found.items)
    assert weights(found)["z"] == 0.0


def test_permutation_importance_of_a_library_is_the_share_of_its_column(make_problem, table_library):
    problem = make_problem(table_library)
    found = sensitivities(Known(lambda x: x["size"]), problem, "y")
    assert found.method == "permutation"
    assert weights(found) == pytest.approx({"size": 1.0, "colour": 0.0}, abs=0.25)


def test_a_molecule_is_explained_by_its_properties(make_problem, molecule_library):
    problem = make_problem(molecule_library)
    found = sensitivities(Known(lambda x: float(len(x["smiles"].replace("(", "")))), problem, "y")
    distinct = {candidate.hash for block in molecule_library.iterate() for candidate in block}
    assert (found.method, found.n) == ("properties", len(distinct))
    assert found.explained > 0.3
    assert {"heavy_atoms", "logp", "tpsa"} <= {item.name for item in found.items}
    assert dependences(Known(lambda x: 0.0), problem, "y") == []


@settings(max_examples=20)
@given(a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_the_dependence_of_a_sum_is_its_own_term_up_to_a_constant(a, b):
    space = Parameters(x=Real(0, 1), y=Real(0, 1))
    problem = Problem("learn", space, ("y",), (Objective("y"),), ("truth",), (1.0,))
    on_x, on_y = dependences(Known(lambda v: a * v["x"] + b * v["y"] ** 2), problem, "y", n=16)
    assert np.array(on_x.mean) - on_x.mean[0] == pytest.approx(a * np.array(on_x.values))
    assert np.array(on_y.mean) - on_y.mean[0] == pytest.approx(b * np.array(on_y.values) ** 2)
    assert (np.array(on_x.low) <= np.array(on_x.mean) + 1e-9).all()
    assert (np.array(on_x.mean) <= np.array(on_x.high) + 1e-9).all()


def test_dependence_shows_every_setting_of_a_mixed_space(make_problem, mixed):
    found = {item.parameter: item for item in dependences(Known(lambda x: x["n"]), make_problem(mixed), "y", n=4)}
    assert found["n"].values == (1, 2, 3, 4, 5, 6)
    assert found["n"].mean == (1, 2, 3, 4, 5, 6)
    assert found["base"].values == ("a", "b", "c")
    assert not found["base"].numeric
    assert found["dose"].values == (1, 5, 25)
    assert found["dial"].values == (0, 0.25, 0.5, 0.75, 1)
    assert (len(found["t"].values), found["t"].numeric) == (STEPS, True)
    assert np.diff(np.log(found["t"].values)) == pytest.approx(np.log(1e5) / (STEPS - 1))


def test_what_if_gives_intervals_of_labels_at_every_fidelity(make_problem, square):
    problem = make_problem(square, fidelities=("low", "high"), costs=(0.1, 1.0))
    model, candidate = Known(lambda x: 2.0, std=0.3, noise=0.4), square.candidate({"x": 0.1, "y": 0.2})
    beliefs = what_if(model, problem, candidate, Widening())
    assert [belief.fidelity for belief in beliefs] == ["low", "high"]
    told = Widening().told("y", 2.0, 0.5)  # a label's noise counts too: the root of 0.3^2 + 0.4^2
    assert beliefs[0].label_std == pytest.approx(told.std)
    assert beliefs[0].std == pytest.approx(0.6 * told.std)
    for level in (0.5, 0.9):
        assert beliefs[0].intervals[level] == pytest.approx(told.interval(level))
    taught = Widening().learned("y", [6.0] * 5)
    wider = what_if(model, problem, candidate, taught)
    assert wider[0].mean == beliefs[0].mean
    assert wider[0].intervals[0.9] == pytest.approx(taught.told("y", 2.0, 0.5).interval(0.9))
    assert wider[0].intervals[0.9][1] > beliefs[0].intervals[0.9][1]


def test_a_fitted_forest_is_explained_as_well(make_problem, square, label):
    problem = make_problem(square)
    dataset = label(problem, square.sample(80, np.random.default_rng(0)), lambda x: 5 * x["x"] + 0.1 * x["y"])
    found = sensitivities(RandomForest().fit(problem, dataset, seed=0), problem, "y", n=128)
    assert found.items[0].name == "x"
    assert found.items[0].total > 0.8
