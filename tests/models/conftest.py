"""Small problems with known answers, shared by this room's tests."""

import numpy as np
import pytest
import torch

from theoros.models.data import Dataset, Point, Problem
from theoros.models.objective import Objective
from theoros.oracles.spaces import Categorical, Integer, Library, Molecules, Ordinal, Parameters, Real

SMILES = [
    "C",
    "CC",
    "CCC",
    "CCCC",
    "CCO",
    "CCCO",
    "CC(C)O",
    "CO",
    "OCCO",
    "CC=O",
    "CC(C)=O",
    "CCC=O",
    "CC#N",
    "CCC#N",
    "C#CC",
    "CC=C",
    "C=CC=C",
    "c1ccccc1",
    "Cc1ccccc1",
    "Oc1ccccc1",
    "Nc1ccccc1",
    "c1ccncc1",
    "c1ccoc1",
    "c1ccsc1",
    "c1cc[nH]c1",
    "C1CCCCC1",
    "C1CCOC1",
    "C1CCNC1",
    "C1CC1",
    "CC1CC1",
    "CCN",
    "CCNC",
    "CN(C)C",
    "CCS",
    "CSC",
    "CS(C)=O",
    "CS(C)(=O)=O",
    "NC=O",
    "CC(N)=O",
    "CC(=O)O",
    "CC(=O)OC",
    "COC",
    "COCC",
    "FC(F)F",
    "FCC",
    "CCF",
    "OCC(F)F",
    "Fc1ccccc1",
    "CC(C)C",
    "CC(C)(C)C",
    "C1CCCC1",
    "CC(=O)CC(C)=O",
    "N#CCC#N",
    "COC(=O)C=C",
    "C[N+](=O)[O-]",
]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_problem():
    """Build a problem whose first output is the objective."""

    def make(space, *, goal="optimize", outputs=("y",), maximize=True, fidelities=("truth",), costs=(1.0,), **more):
        objectives = more.pop("objectives", None) or (Objective(outputs[0], "maximize" if maximize else "minimize"),)
        return Problem(goal, space, outputs, objectives, fidelities, costs, **more)

    return make


@pytest.fixture(scope="session")
def label():
    """Label candidates by one function of the candidate's data for each output."""

    def make(problem, candidates, *functions, fidelity=None):
        values = np.array([[f(candidate.data) for f in functions] for candidate in candidates], dtype=float)
        points = tuple(Point(candidate, fidelity or problem.target) for candidate in candidates)
        return Dataset(points, problem.outputs, values.reshape(len(points), len(functions)))

    return make


@pytest.fixture(scope="session")
def join():
    """One dataset after another."""
    return lambda a, b: Dataset(a.points + b.points, a.outputs, np.concatenate([a.values, b.values]))


@pytest.fixture(scope="session")
def at():
    """Candidates as points at the target fidelity or another."""
    return lambda problem, candidates, fidelity=None: [Point(c, fidelity or problem.target) for c in candidates]


@pytest.fixture(scope="session")
def branin():
    """Branin on the unit square; its minimum is 0.397887 (Dixon & Szegö, 1978)."""

    def function(data):
        x, y = 15 * data["x"] - 5, 15 * data["y"]
        valley = (y - 5.1 / (4 * np.pi**2) * x**2 + 5 / np.pi * x - 6) ** 2
        return valley + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10

    return function


@pytest.fixture
def square():
    return Parameters(x=Real(0, 1), y=Real(0, 1))


@pytest.fixture
def mixed():
    return Parameters(
        t=Real(1e-3, 1e2, log=True),
        n=Integer(1, 6),
        base=Categorical("a", "b", "c"),
        dose=Ordinal(1, 5, 25),
        v=Real(-2, 2),
        dial=Real(0, 1, step=0.25),
    )


@pytest.fixture(scope="session")
def molecules():
    return Molecules()


@pytest.fixture(scope="session")
def smiles_candidates(molecules):
    return [molecules.candidate(smiles) for smiles in SMILES]


@pytest.fixture
def molecule_library(tmp_path):
    file = tmp_path / "molecules.smi"
    file.write_text("\n".join(SMILES) + "\n")
    return Library(str(file))


@pytest.fixture
def table_library(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{rng.uniform(0, 10):.4f},{'abc'[rng.integers(3)]}" for _ in range(80)]
    file = tmp_path / "table.csv"
    file.write_text("size,colour\n" + "\n".join(rows) + "\n")
    return Library(str(file))


@pytest.fixture(scope="session")
def molecule_spaces(tmp_path_factory):
    """The space in which each proposer of molecules is tested."""
    from tests.models.molecule_proposers import PROPOSERS, space_of  # loads every generator

    folder = tmp_path_factory.mktemp("molecules")
    return {name: space_of(name, folder) for name in PROPOSERS}
