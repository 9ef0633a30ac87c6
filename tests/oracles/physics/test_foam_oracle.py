"""The foam as an oracle: what it answers, at which level, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from theoros.oracles import Categorical, Integer, Parameters, Real
from theoros.oracles.check import check_oracle
from theoros.oracles.contract import checked_values
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.physics.foam.movie import Window, exact_movie
from theoros.oracles.physics.foam.oracle import ARRAYS, SCALARS, FoamOracle
from theoros.oracles.reference import OracleOptionError, OracleReference

SMALL = {"bubbles": 24, "frames": 3, "pixels": 16, "age": 0.0}
YOUNG = Parameters(disorder=Real(0, 1), seed=Integer(0, 99))


def test_it_keeps_the_contract():
    both = {"outputs": [*SCALARS, "frames", "areas", "sides"], "fidelities": ["cheap", "exact"]}
    for options in (SMALL | both, SMALL | {"outputs": ["films"]}):
        reference = OracleReference("foam", options, YOUNG.to_dict())
        assert [result for result in check_oracle(reference.load(), reference=reference) if not result.passed] == []


def test_its_answer_is_the_movie_of_the_candidates_window():
    oracle = FoamOracle(**SMALL, space=YOUNG, outputs=[*SCALARS, *ARRAYS])
    answer = oracle.evaluate(oracle.space.candidate({"disorder": 0.7, "seed": 5}), "exact")
    movie = exact_movie(Window(24, 0.7, 0.0, 5, frames=3, pixels=16))
    values = checked_values(oracle.outputs, answer)
    assert (values["frames"] == movie.images).all()
    assert (values["areas"] == movie.areas).all()
    assert (values["sides"] == movie.sides).all()
    assert values["mean_area"] == movie.mean_areas[-1]
    assert values["t1_events"] == movie.t1_events
    assert answer.details["frame_interval"] == pytest.approx(0.02 / 24 / (np.pi / 3))


def test_the_levels_differ_and_the_last_is_the_truth():
    oracle = FoamOracle(**SMALL, space=YOUNG, fidelities=["cheap", "exact"])
    candidate = oracle.space.candidate({"disorder": 0.7, "seed": 5})
    cheap, exact = (oracle.evaluate(candidate, level.name).values for level in oracle.fidelities)
    assert cheap["mu2"] != exact["mu2"]
    assert [level.name for level in oracle.fidelities] == ["cheap", "exact"]
    assert oracle.fidelities[0].cost < oracle.fidelities[1].cost == 1


def test_mu2_and_growth_are_those_of_the_foam():
    """The frames' sides have the mean 6 in the exact simulator, and mean areas follow from the bubbles left."""
    oracle = FoamOracle(**SMALL | {"frames": 6}, space=YOUNG, interval=0.05, outputs=[*SCALARS, "areas", "sides"])
    values = oracle.evaluate(oracle.space.candidate({"disorder": 0.9, "seed": 1}), "exact").values
    left = (values["areas"] > 0).sum(axis=1)
    mean_square = np.mean([((sides[sides > 0] - 6) ** 2).mean() for sides in values["sides"]])
    assert values["mu2"] == pytest.approx(mean_square)
    assert values["mean_area"] == pytest.approx(1 / left[-1])
    assert values["growth_rate"] == pytest.approx((1 / left[-1] - 1 / left[0]) / (5 * 0.05 / left[0]))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            Parameters(heat=Real(0, 1)),
            "space: a foam has bubbles, disorder, age, seed. Declare parameters of these names; there are ['heat'].",
        ),
        (Parameters(disorder=Real(-1, 1)), "space.disorder: it reaches down to -1. Start at 0 or above."),
        (Parameters(bubbles=Integer(4, 40)), "space.bubbles: it reaches down to 4. A foam starts with 12 or more."),
        (
            Parameters(bubbles=Integer(16, 64), age=Real(0, 2)),
            "space: 4 bubbles would be left at age 2, and a foam needs 8. Start with more.",
        ),
        (
            Parameters(bubbles=Categorical(64, 128), age=Categorical(0.5, 4)),
            "space: 4 bubbles would be left at age 4, and a foam needs 8. Start with more.",
        ),
        (Parameters(disorder=Categorical(0.5, -1)), "space.disorder: it reaches down to -1. Start at 0 or above."),
        (Parameters(disorder=Categorical("low", "high")), "space.disorder: 'low' is not a number. Give numbers."),
        (
            Parameters(bubbles=Real(24, 64)),
            "space.bubbles: it has fractions, which a foam can't have. Declare it as integer.",
        ),
        (
            Parameters(seed=Categorical(1, 1.5)),
            "space.seed: it has fractions, which a foam can't have. Declare it as integer.",
        ),
    ],
)
def test_a_space_that_holds_no_foam_is_refused(space, message):
    with pytest.raises(OracleOptionError) as caught:
        FoamOracle(space=space)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"outputs": ["films"], "fidelities": ["cheap", "exact"]},
            "the cheap level has no films. Leave out films, or the level",
        ),
        ({"outputs": ["colour"]}, "no output is called 'colour'. There are mean_area, growth_rate"),
        ({"fidelities": ["exact", "cheap"]}, r"fidelities go from cheap to exact, each once\. Write \[cheap, exact\]"),
        ({"fidelities": ["dft"]}, "no fidelity is called 'dft'. There are cheap, exact"),
        ({"bubbles": 5}, "greater than or equal to 12"),
    ],
)
def test_options_that_make_no_foam_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        FoamOracle(**options)


def test_parameters_may_be_choices():
    oracle = FoamOracle(**SMALL, space=Parameters(bubbles=Categorical(24, 32), seed=Categorical(3, 5)))
    values = oracle.evaluate(oracle.space.candidate({"bubbles": 32, "seed": 5}), "exact").values
    assert values["mean_area"] >= 1 / 32
    assert values["mean_area"] < 1 / 24


def test_a_candidate_outside_the_space_is_refused():
    oracle = FoamOracle(space=YOUNG)
    with pytest.raises(InvalidCandidate):
        oracle.evaluate(Parameters(disorder=Real(0, 9)).candidate({"disorder": 8}), "exact")


def test_importing_the_oracle_imports_no_compiler_and_no_torch():
    code = (
        "import sys, theoros.oracles.physics.foam.oracle; "
        "print([name for name in ('numba', 'torch', 'ray', 'pyscf') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
