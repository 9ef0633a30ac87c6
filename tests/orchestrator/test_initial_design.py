"""With how many candidates a campaign begins when its file does not say, and whence they come."""

from pathlib import Path

import pytest

from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.load import spec_from_dict

HARTMANN = {"synthetic": {"function": "Hartmann", "dim": 6}}
LADDER = {"synthetic": {"function": "AugmentedHartmann"}}
MOLECULES = {"molecules": {"elements": ["C", "N", "O"], "heavy_atoms": "2..5"}}
BRANIN_LADDER = {"synthetic": {"function": "AugmentedBranin"}}


def plan(oracle, budget, **more):
    spec = {"campaign": "c", "question": {"minimize": "value"}, "oracle": oracle, "budget": budget} | more
    return resolve(spec_from_dict(spec), Path())


def initial(oracle, budget, **more):
    return plan(oracle, budget, **more).initial


@pytest.mark.parametrize(
    ("oracle", "budget", "expected"),
    [
        (HARTMANN, {"labels": 100}, 12),
        (LADDER, {"labels": 100}, 6),
        (LADDER, {"cost": 40}, 6),
        (BRANIN_LADDER, {"cost": 40}, 4),
        (LADDER, {"labels": 5}, 3),
    ],
)
def test_two_candidates_for_each_parameter_or_one_where_each_is_asked_at_several_levels(oracle, budget, expected):
    assert initial(oracle, budget) == expected


def test_what_the_file_says_is_kept():
    assert initial(LADDER, {"labels": 100}, initial=9) == 9


@pytest.mark.parametrize(("levels", "expected"), [(1, 10), (2, 5)])
def test_molecules_begin_with_ten_or_five_at_several_levels(levels, expected):
    ladder = [{"name": f"hf{i}", "method": "hf", "basis": basis} for i, basis in enumerate(("sto-3g", "def2-svp"))]
    oracle = {"pyscf": {"fidelities": ladder[:levels]}}
    assert initial(oracle, {"wall_time": 60}, question={"maximize": "gap"}, space=MOLECULES) == expected


def test_where_nothing_is_predicted_nothing_searches_for_predictions():
    at_random = plan(HARTMANN, {"labels": 100}, acquisition="random")
    assert at_random.proposers == (at_random.initial_proposer,) == ("sobol",)
    named = plan(HARTMANN, {"labels": 100}, acquisition="random", proposers=["random"])
    assert named.proposers == (named.initial_proposer,) == ("random",)
