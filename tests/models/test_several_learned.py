"""Acquisitions for learning, with several outputs: what they tell of each is added up in units that compare."""

import math
from dataclasses import replace

import numpy as np
import pytest

from theoros.models import registry
from theoros.models.checks import check_acquisition
from theoros.models.data import Dataset
from theoros.models.objective import Objective
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.models.surrogates.random_forest import RandomForest
from theoros.oracles.spaces import Parameters, Real

NAMES = ("std", "bald", "integrated_variance", "epig", "committee", "loo_variance")
SUMS = {"bald": 1, "integrated_variance": 1, "epig": 1, "loo_variance": 1, "std": 2, "committee": 2}


@pytest.fixture(scope="module")
def area():
    return Parameters({"x": Real(0, 1), "y": Real(0, 1)})


@pytest.fixture(scope="module")
def both(area, make_problem):
    return make_problem(area, goal="learn", outputs=("a", "b"), objectives=(Objective("a"), Objective("b")))


@pytest.fixture(scope="module")
def labels(both, area, label):
    candidates = area.sample(24, np.random.default_rng(3))
    return label(both, candidates, lambda d: math.sin(6 * d["x"]), lambda d: 1e3 * math.cos(4 * d["y"]) + d["x"])


@pytest.fixture(scope="module")
def models(both, labels):
    return {
        "gp": GaussianProcess().fit(both, labels, seed=0),
        "random_forest": RandomForest().fit(both, labels, seed=0),
    }


@pytest.fixture(scope="module")
def new(area):
    return area.sample(20, np.random.default_rng(4))


def scored(name, problem, model, dataset, new):
    return registry.acquisition(name).scorer(problem, model, dataset, [], seed=1)(new)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_adds_up_what_it_would_tell_of_each(both, labels, models, new, name):
    """Informations and variances add up as they are, deviations by their squares; a process has standard units."""
    unit = labels.values.std(0) if name == "committee" else np.ones(2)  # whose draws are in the outputs' units
    parts = [
        (scored(name, replace(both, objectives=(goal,)), models["gp"], labels, new) / size) ** SUMS[name]
        for goal, size in zip(both.objectives, unit, strict=True)
    ]
    assert np.allclose(scored(name, both, models["gp"], labels, new) ** SUMS[name], np.sum(parts, axis=0))


@pytest.mark.parametrize("name", ["std", "bald", "epig", "committee"])
def test_no_output_outweighs_the_other_by_its_unit(both, labels, models, new, name):
    grown = Dataset(labels.points, labels.outputs, labels.values * [1.0, 2.0**14])
    model = RandomForest().fit(both, grown, seed=0)
    ours, theirs = (scored(name, both, m, d, new) for m, d in ((models["random_forest"], labels), (model, grown)))
    assert np.allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("surrogate", "name"),
    [("random_forest", name) for name in ("std", "bald", "epig", "committee")]
    + [("gp", "integrated_variance"), ("gp", "std")],
)
def test_the_contract_is_kept_with_several_outputs(both, labels, models, new, surrogate, name):
    assert check_acquisition(registry.acquisition(name), both, models[surrogate], labels, new[:8]) == []


def test_a_batch_over_several_outputs_is_what_one_choice_after_another_would_be(both, labels, models, new, at):
    acquisition, pending = registry.acquisition("integrated_variance"), []
    for pick in acquisition.batch(both, models["gp"], labels, [], new, 4, seed=0):
        values = acquisition.scorer(both, models["gp"], labels, at(both, pending), seed=0)(new)
        values[[new.index(candidate) for candidate in pending]] = -np.inf
        assert pick.value == pytest.approx(values.max(), rel=1e-3)
        pending.append(new[pick.place])


def test_the_default_for_several_outputs_is_the_integrated_variance(both):
    assert registry.default_acquisition(both) == "integrated_variance"
    assert registry.default_acquisition(both, "random_forest") == "std"
