"""Who may import whom, and what may not be imported by those who only want to read a specification."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "db": set(),
    "oracles": set(),
    "models": {"oracles"},
    "workers": {"models", "oracles", "db"},
    "orchestrator": {"workers", "models", "oracles", "db"},
}
FORBIDDEN_LIBRARIES = {
    "models": {"ray", "sqlalchemy"},
    "oracles": {"ray", "sqlalchemy"},
    "db": {"ray", "torch", "pyscf", "rdkit"},
}


HELP = """
import sys
from theoros.orchestrator.cli import main
sys.argv = ['theoros', '--help']
try:
    main()
except SystemExit:
    pass
"""


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_the_rooms_below_it(room):
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        rooms = {name.split(".")[1] for name in imports(path) if name.startswith("theoros.")}
        assert rooms <= ALLOWED[room] | {room}, f"{path.relative_to(ROOT)} imports {rooms - ALLOWED[room] - {room}}"
        libraries = {name.split(".")[0] for name in imports(path)}
        assert not libraries & FORBIDDEN_LIBRARIES.get(room, set()), path.relative_to(ROOT)


#: A model worker of a campaign that asks at random, as the random control does.
AT_RANDOM = """
from theoros.models.data import Problem
from theoros.models.objective import Objective
from theoros.oracles.spaces import Parameters, Real
from theoros.workers.model_worker import ModelWorker
from theoros.workers.modelling import ModelPlan

space = Parameters({"x": Real(0, 1)})
problem = Problem("optimize", space, ("y",), (Objective("y", "minimize"),), ("full",), (1.0,))
ModelWorker(ModelPlan(problem, "gp", "random", (PROPOSER,), PROPOSER, ()), 1)
"""


def require_not_loaded(heavy: set[str], code: str) -> None:
    """Run `code` in an interpreter of its own; none of the `heavy` modules may be there afterwards."""
    check = f"{code}\nimport sys\nfound = {heavy} & set(sys.modules)\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("proposer", ["random", "sobol"])
def test_choosing_at_random_loads_no_torch(proposer):
    require_not_loaded({"torch"}, AT_RANDOM.replace("PROPOSER", repr(proposer)))


#: Two fits of a Gaussian process, the second held against what the first did not see.
TWO_FITS = """
import numpy as np
from theoros.models.data import Dataset, Point, Problem
from theoros.models.objective import Objective
from theoros.oracles.spaces import Parameters, Real
from theoros.workers.modelling import ModelPlan, train

space = Parameters({"x": Real(0, 1)})
problem = Problem("optimize", space, ("y",), (Objective("y", "minimize"),), ("full",), (1.0,))
plan, belief = ModelPlan(problem, "gp", "log_ei", ("sobol",), "sobol", ()), None
for n in (5, 7):
    points = tuple(Point(space.candidate({"x": i / n}), "full") for i in range(n))
    labels = Dataset(points, ("y",), np.sin(np.arange(n) / n)[:, None])
    belief, report = train(plan, labels, range(n), seed=0, previous=belief)
assert len(report.checks) == 2
"""


def test_a_process_is_fitted_without_what_only_twins_are_examined_with():
    require_not_loaded({"scipy.stats", "theoros.models.twins.unseen_exam"}, TWO_FITS)


def test_a_campaign_starts_without_what_only_models_and_reports_need():
    code = "import theoros.orchestrator.campaign, theoros.orchestrator.session, theoros.orchestrator.report.final"
    require_not_loaded({"torch", "scipy.stats", "rdkit", "pandas", "matplotlib"}, code)


def test_a_report_of_molecules_is_drawn_without_torch():
    require_not_loaded({"torch"}, "import theoros.orchestrator.report.page")


@pytest.mark.parametrize(
    "code",
    [
        "import theoros",
        "import theoros.oracles",
        "import theoros.db",
        "from theoros.orchestrator.spec.load import load_spec",
        HELP,
    ],
    ids=["theoros", "oracles", "db", "specification", "theoros --help"],
)
def test_reading_a_specification_or_the_help_imports_nothing_heavy(code):
    require_not_loaded({"torch", "ray", "pyscf", "rdkit", "botorch", "pandas", "matplotlib", "sqlalchemy"}, code)
