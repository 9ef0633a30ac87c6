"""Laws of physics that a twin is taught: they hold better, term by term, and a user writes one in five lines."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from theoros.models.data import Dataset, Point
from theoros.models.twins.conditional_flow import ConditionalFlow
from theoros.models.twins.conditions import Conditions, NaturalConditions
from theoros.models.twins.cvae import ConditionalVAE
from theoros.models.twins.physics import Penalties, Residual, Situation, residual
from theoros.models.twins.training import Training
from theoros.oracles.physics import scattering_exact as exact
from theoros.oracles.physics.scattering_setup import Setup, events
from theoros.oracles.spaces import Categorical, Ordinal, Parameters, Real

QUICK = Training(members=3, steps=(150, 150))


@residual("energy", weight=20.0)
def energy(situation):
    """Elastic scattering: the outgoing direction is a unit vector."""
    x, y = situation.outcomes["x"], situation.outcomes["y"]
    return x**2 + y**2 - 1


@residual("mirror", balanced=True)
def mirror(situation):
    """A particle that passes on the other side goes the other way."""
    other = situation.at(b=-situation.conditions["b"])
    return torch.stack([other["x"] - situation.outcomes["x"], other["y"] + situation.outcomes["y"]], -1)


@residual("above", on="draws")
def above(situation):
    """No draw lies below zero."""
    return torch.relu(-situation.outcomes["x"])


@pytest.fixture(scope="module")
def space():
    return Parameters(E=Real(0.1, 10, log=True), b=Real(-3, 3))


@pytest.fixture(scope="module")
def scattered(space, make_problem):
    """(problem, dataset): 60 directions behind a Coulomb centre, with noise."""
    candidates = space.sample(60, np.random.default_rng(0))
    E, b = (np.array([candidate.data[name] for candidate in candidates]) for name in ("E", "b"))
    angle = 2 * np.arctan2(1.0, 2 * E * np.abs(b)) * np.sign(b)
    noise = 0.05 * np.random.default_rng(1).standard_normal((60, 2))
    problem = make_problem(space, goal="learn", outputs=("x", "y"), deterministic=False)
    points = tuple(Point(candidate, "truth") for candidate in candidates)
    return problem, Dataset(points, ("x", "y"), np.stack([np.cos(angle), np.sin(angle)], 1) + noise)


@pytest.fixture(scope="module")
def untaught(scattered):
    """A twin that is told of the laws and not made to keep them."""
    ignored = tuple(Residual(law.name, law.law, weight=0.0) for law in (energy, mirror))
    return ConditionalVAE(training=QUICK, residuals=ignored).fit(*scattered, seed=0)


def violations(model):
    return {name: told["violation"] for name, told in model.hyperparameters()["residuals"].items()}


def test_the_law_in_the_manual_holds_in_the_chamber_of_the_manual():
    text = (Path(__file__).parents[3] / "docs" / "twins.md").read_text()
    chamber, *_ = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S))
    law, named = next(block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "@residual" in block), {}
    exec(law, named)
    setup = Setup(radius=chamber["oracle"]["scattering"]["radius"])
    energies, impacts = np.repeat([1.44, 14.4, 144.0], 3), np.tile([-3.0, 0.5, 2.0], 3)
    x, y = torch.from_numpy(exact.on_the_rim(setup, events(energies, impacts), outgoing=True)[:, :2].T.copy())
    violated = named["rim"].violation(Situation({}, {"x": x[None], "y": y[None]}))
    assert float(violated.max()) < 1e-9


@pytest.mark.parametrize("law", [energy, mirror])
def test_a_law_that_is_taught_is_violated_less(scattered, untaught, law):
    taught = ConditionalVAE(training=QUICK, residuals=(law,)).fit(*scattered, seed=0)
    assert violations(taught)[law.name] < 0.6 * violations(untaught)[law.name]


def test_both_are_reported_term_by_term(scattered):
    twin = ConditionalVAE(training=Training(members=2, steps=(20, 20)), residuals=(energy, mirror))
    model = pickle.loads(pickle.dumps(twin.fit(*scattered, seed=0)))
    told = json.loads(json.dumps(model.hyperparameters()))["residuals"]
    assert list(told) == ["energy", "mirror"]
    assert (told["energy"]["weight"], told["mirror"]["balanced"]) == (20.0, True)
    assert all(term["violation"] > 0 for term in told.values())


def test_violations_at_candidates_are_the_laws_own_numbers(scattered, untaught):
    _, dataset = scattered
    candidates = [point.candidate for point in dataset.points[:5]]
    found = untaught.violations(candidates, seed=0)
    assert {name: value.shape for name, value in found.items()} == {"energy": (3, 5), "mirror": (3, 5)}
    rows = torch.from_numpy(untaught.conditions.rows(candidates, np.zeros(5, int)))
    outcomes = untaught.offset[:, 0] + untaught.scale[:, 0] * untaught.ensemble.means(rows).numpy()
    assert np.allclose(found["energy"], np.abs((outcomes**2).sum(-1) - 1))


def test_a_twin_without_laws_violates_none(scattered):
    problem, dataset = scattered
    model = ConditionalVAE(training=Training(members=2, steps=(20, 20))).fit(problem, dataset, seed=0)
    assert model.violations([dataset.points[0].candidate], seed=0) == {}
    assert "residuals" not in model.hyperparameters()


def test_a_law_on_draws_is_taught_to_the_noise(space, make_problem):
    """Exponential waiting times are never negative; a normal distribution of their mean and variance often is."""
    candidates = space.sample(300, np.random.default_rng(0))
    values = np.random.default_rng(1).exponential(1.0, (300, 1))
    problem = make_problem(space, goal="learn", outputs=("x",), deterministic=False)
    dataset = Dataset(tuple(Point(candidate, "truth") for candidate in candidates), ("x",), values)
    told = {}
    for weight in (0.0, 100.0):
        law = Residual("above", above.law, weight=weight, on="draws")
        told[weight] = violations(ConditionalFlow(training=QUICK, residuals=(law,)).fit(problem, dataset, seed=0))[
            "above"
        ]
    assert told[100.0] < 0.7 * told[0.0]


def test_a_balanced_term_pulls_as_hard_as_the_likelihood():
    module = torch.nn.Module()
    module.place = torch.nn.Parameter(torch.tensor([[1.0], [2.0]]))  # two members
    outcomes = lambda: {"y": module.place.expand(2, 3)}  # noqa: E731
    law = Residual("zero", lambda s: 0.1 * s.outcomes["y"], balanced=True)
    penalties = Penalties([law], module, lambda _: Situation({}, outcomes()))
    likelihood = 3 * module.place.square().sum(1)
    added = penalties.added(likelihood) - likelihood
    slope = torch.autograd.grad(added.sum(), module.place)[0]
    assert torch.allclose(slope, torch.tensor([[6.0], [12.0]]), rtol=1e-4)


def test_a_law_with_a_wrong_shape_says_which():
    law = Residual("total", lambda situation: situation.outcomes["y"].sum(1))
    with pytest.raises(ValueError, match=r"^The residual 'total' gives the shape \(2,\) for outcomes \(2, 3\)\."):
        law.violation(Situation({}, {"y": torch.ones(2, 3)}))


def test_a_law_on_draws_can_not_look_elsewhere():
    with pytest.raises(TypeError, match=r"^only a law on means can ask for outcomes at other conditions$"):
        Situation({"b": torch.ones(3)}, {"y": torch.ones(2, 3)}).at(b=torch.zeros(3))


def test_molecules_have_no_natural_conditions(molecules, smiles_candidates, make_problem, label):
    problem = make_problem(molecules, outputs=("x", "y"))
    dataset = label(problem, smiles_candidates[:4], lambda d: 1.0, lambda d: 2.0)
    with pytest.raises(ValueError, match=r"^Laws of physics are told of numbers and plain categories"):
        ConditionalVAE(training=QUICK, residuals=(energy,)).fit(problem, dataset, seed=0)


@pytest.mark.parametrize("fidelities", [1, 2])
def test_natural_conditions_become_the_rows_that_networks_read(fidelities):
    choices = {"kind": Categorical("a", "b", "c"), "dose": Ordinal(1, 5, 25)}
    space = Parameters(E=Real(0.1, 10, log=True), **choices, b=Real(-3, 3))
    candidates = space.sample(30, np.random.default_rng(0))
    level = np.full(30, fidelities - 1)
    conditions = Conditions.of(space, candidates, np.arange(30) % fidelities, fidelities)
    natural = NaturalConditions.of(space, conditions, fidelities - 1)
    named = natural.tensors(candidates)
    assert named["E"].tolist() == [candidate.data["E"] for candidate in candidates]
    assert named["kind"].tolist() == ["abc".index(candidate.data["kind"]) for candidate in candidates]
    assert np.allclose(natural.rows(named).numpy(), conditions.rows(candidates, level), atol=1e-5)
