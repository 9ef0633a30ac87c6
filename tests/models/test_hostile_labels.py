"""Whatever labels come, every surrogate fits, predicts finite numbers, and a decision is made."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from theoros.models import registry
from theoros.models.checks import check_decision, damaged
from theoros.models.data import Dataset, Point
from theoros.oracles.spaces import Library, Parameters, Real

SPACE = Parameters(x=Real(0, 1), y=Real(0, 1), idle=Real(0, 1))
#: The kinds of damage, by name; "" is none. Without a label there is no model yet.
KINDS = ("", *(kind for kind in damaged(Dataset((), ("y",), np.zeros((2, 1)))) if kind != "no label"))
#: Examples, by what they cost.
EXAMPLES = {
    "gp": 8,
    "warped_gp": 3,
    "heteroskedastic_gp": 3,
    "saas_gp": 3,
    "variational_gp": 5,
    "random_forest": 2,
    "deep_ensemble": 1,
}


def labelled(seed, n, shape):
    """`n` labels of a smooth function where all points lie on a line, or one parameter never varies."""
    rng = np.random.default_rng(seed)
    t, u = rng.random(n), rng.random(n)
    rows = {"line": (t, t, 1 - t), "fixed": (t, u, np.full(n, 0.5)), "all alike": (np.full(n, 0.3),) * 3}[shape]
    candidates = [SPACE.candidate({"x": x, "y": y, "idle": i}) for x, y, i in zip(*map(np.ravel, rows), strict=True)]
    values = np.array([[np.sin(5 * c.data["x"]) + c.data["y"]] for c in candidates]) + 0.1 * rng.random((n, 1))
    return Dataset(tuple(Point(c, "truth") for c in candidates), ("y",), values)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, smiles_candidates):
    """A library of molecules."""
    file = tmp_path_factory.mktemp("shelf") / "shelf.smi"
    file.write_text("\n".join(candidate.data["smiles"] for candidate in smiles_candidates) + "\n")
    return Library(str(file))


@pytest.mark.parametrize("name", EXAMPLES)
def test_parameters(make_problem, name):
    @given(
        seed=st.integers(0, 2**16),
        n=st.integers(2, 25),
        shape=st.sampled_from(["line", "fixed", "all alike"]),
        damage=st.sampled_from(KINDS),
        goal=st.sampled_from(["optimize", "learn"]),
        deterministic=st.booleans(),
        maximize=st.booleans(),
    )
    @settings(max_examples=EXAMPLES[name], suppress_health_check=[HealthCheck.too_slow])
    def decides(seed, n, shape, damage, goal, deterministic, maximize):
        problem = make_problem(SPACE, goal=goal, maximize=maximize, deterministic=deterministic)
        dataset = labelled(seed, n, shape)
        hostile = damaged(dataset).get(damage, dataset)
        assert check_decision(registry.surrogate(name), problem, hostile, seed=seed) == []

    decides()


@given(seed=st.integers(0, 2**16), damage=st.sampled_from(KINDS), maximize=st.booleans())
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
def test_molecules(make_problem, shelf, seed, damage, maximize):
    chosen = shelf.sample(12, np.random.default_rng(seed))
    values = np.random.default_rng(seed).standard_normal((12, 1))
    dataset = Dataset(tuple(Point(c, "truth") for c in chosen), ("y",), values)
    problem = make_problem(shelf, maximize=maximize)
    hostile = damaged(dataset).get(damage, dataset)
    assert check_decision(registry.surrogate("tanimoto_gp"), problem, hostile, seed=seed) == []
