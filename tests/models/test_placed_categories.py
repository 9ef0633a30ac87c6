"""Categories that stand for molecules, or are described by numbers, in a product of parameters."""

import numpy as np
import pytest
import torch

from theoros.models import registry
from theoros.models.checks import check_surrogate
from theoros.models.data import Point
from theoros.models.decide import propose, select
from theoros.models.encoders import ParameterEncoder, feature_names
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Categorical, Parameters, Real
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.parse import space_from_dict

ALCOHOLS = {"methanol": "CO", "ethanol": "OCC", "propanol": "CCCO", "butanol": "CCCCO", "isopropanol": "CC(C)O"}
ARENES = {"benzene": "c1ccccc1", "toluene": "Cc1ccccc1", "xylene": "Cc1ccc(C)cc1", "cumene": "CC(C)c1ccccc1"}
SOLVENTS = ALCOHOLS | ARENES


@pytest.fixture
def space():
    return Parameters(
        solvent=Categorical(*SOLVENTS, smiles=SOLVENTS),
        base=Categorical("weak", "strong", "none"),
        heat=Real(0, 1),
    )


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def found(data):
    return 3.0 * (data["solvent"] in ALCOHOLS) + data["heat"] + (data["base"] == "strong")


def test_models_see_places_and_optimizers_indices(space, rng):
    encoder = ParameterEncoder.of(space)
    features = encoder.encode(space.sample(20, rng))
    assert features.shape[1] == encoder.dimension == 3
    assert encoder.categorical == (0, 2)
    places = encoder.places
    expanded = places.expand(features)
    assert expanded.shape == (20, places.dimension)
    assert places.kept(encoder.categorical) == (0,)
    assert torch.equal(expanded[:, :2], features[:, :2])
    assert feature_names(encoder)[:3] == ["base", "heat", "solvent.1"]
    (gradient,) = torch.autograd.grad(places.expand(features.requires_grad_()).sum(), features)
    assert gradient[:, 1].eq(1).all()


@pytest.mark.parametrize("name", ["gp", "random_forest"])
def test_a_solvent_that_was_never_tried_is_predicted_from_others_like_it(space, make_problem, label, rng, name):
    plain = Parameters(solvent=Categorical(*SOLVENTS), base=Categorical("weak", "strong", "none"), heat=Real(0, 1))
    errors = []
    for own in (space, plain):
        problem = make_problem(own)
        candidates = own.sample(120, np.random.default_rng(0))
        known = [c for c in candidates if c.data["solvent"] not in ("propanol", "xylene")]
        new = [c for c in candidates if c.data["solvent"] in ("propanol", "xylene")]
        model = registry.surrogate(name).fit(problem, label(problem, known, found), seed=0)
        mean = model.predict([Point(c, problem.target) for c in new]).mean[:, 0]
        errors.append(np.abs(mean - [found(c.data) for c in new]).mean())
    assert errors[0] < 0.6 * errors[1]


def test_the_surrogate_keeps_its_contract(space, make_problem, label, rng):
    problem = make_problem(space)
    assert check_surrogate(GaussianProcess(), problem, label(problem, space.sample(12, rng), found)) == []


def test_candidates_are_proposed_and_chosen(space, make_problem, label, rng):
    problem = make_problem(space)
    dataset = label(problem, space.sample(25, rng), found)
    model = GaussianProcess().fit(problem, dataset, seed=0)
    acquisition = registry.acquisition("log_ei")
    proposers = [registry.proposer(name) for name in registry.default_proposers(problem)]
    found_ = propose(problem, proposers, dataset, model, acquisition, [], set(), 1, 0)
    (choice,) = select(problem, found_, dataset, model, acquisition, [], set(), 1, 0)
    assert choice.point.candidate.data["solvent"] in ALCOHOLS
    assert choice.point.candidate.data["base"] == "strong"


def test_descriptors_place_categories_too(make_problem, label, rng):
    radius = {"Li": [0.76], "Na": [1.02], "K": [1.38], "Rb": [1.52], "Cs": [1.67]}
    space = Parameters(ion=Categorical(*radius, descriptors=radius), x=Real(0, 1))
    problem = make_problem(space)
    candidates = [c for c in space.sample(60, rng) if c.data["ion"] != "K"]
    grows = lambda data: radius[data["ion"]][0] ** 2 + data["x"]  # noqa: E731
    model = GaussianProcess().fit(problem, label(problem, candidates, grows), seed=0)
    unknown = space.candidate({"ion": "K", "x": 0.5})
    assert model.predict([Point(unknown, problem.target)]).mean[0, 0] == pytest.approx(1.38**2 + 0.5, abs=0.15)


@pytest.mark.parametrize(
    "written",
    [
        {"categorical": ["a", "b"], "smiles": {"a": "CO", "b": "CCO"}},
        {"categorical": [1, 2], "descriptors": {"1": [0.5, 1.0], "2": [1.5, 0.0]}},
        {"molecule": {"methanol": "CO", "ethanol": "OCC"}},
        {"molecule": ["CO", "CCO"]},
    ],
)
def test_they_are_written_in_a_campaign_file_and_come_back_equal(written):
    space = space_from_dict({"parameters": {"p": written}})
    assert space_from_dict(space.to_dict()) == space


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"categorical": ["a", "b"], "smiles": {"a": "CO"}}, "nothing is said of b"),
        ({"categorical": ["a", "b"], "smiles": {"a": "CO", "b": "CO", "c": "C"}}, "'c' is no choice"),
        ({"categorical": ["a", "b"], "smiles": {"a": "CO", "b": "C(C"}}, "not a valid SMILES"),
        ({"categorical": ["a", "b"], "descriptors": {"a": [1], "b": [1, 2]}}, "different numbers"),
        ({"categorical": ["a", "b"], "descriptors": {"a": [1], "b": ["x"]}}, "could not convert"),
        ({"ordinal": [1, 2], "smiles": {"1": "C", "2": "CC"}}, "no field 'smiles'"),
    ],
)
def test_what_is_told_wrongly_is_refused(written, said):
    with pytest.raises(SpaceError, match=said):
        space_from_dict({"parameters": {"p": written}})
