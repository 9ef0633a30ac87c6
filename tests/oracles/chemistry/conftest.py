import os

import pytest

from theoros.oracles.cache_folder import CACHE
from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.chemistry.scf import Machine, MeanFieldCalculation
from theoros.oracles.chemistry.tblite_backend import XTBCalculation

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A folder of the test's own for relaxed geometries."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def water():
    return System(
        ("O", "H", "H"), ((0.0, 0.0, 0.11779), (0.0, 0.75545, -0.47116), (0.0, -0.75545, -0.47116))
    )  # fmt: skip


@pytest.fixture
def molecule():
    return lambda smiles: Candidate("molecule", {"smiles": smiles})


@pytest.fixture
def level():
    """A level by its method and basis, tightly converged."""

    def build(method, basis=None, **options):
        tight = {} if method.startswith("gfn") else {"conv_tol": 1e-11, "response_tol": 1e-9, "grid_level": 1}
        return Level(name="level", method=method, basis=basis, **(tight | options))

    return build


@pytest.fixture
def calculate():
    """The calculation of a system at a level, on one core."""

    def start(system, level):
        return XTBCalculation(system, level) if level.is_xtb else MeanFieldCalculation(system, level, Machine())

    return start
