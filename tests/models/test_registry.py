"""Names, declared sets, and what goes together."""

import subprocess
import sys

import pytest

from theoros.models import registry


@pytest.mark.parametrize("name", list(registry.SURROGATES))
def test_the_table_of_surrogates_says_what_the_classes_say(name):
    entry, built = registry.SURROGATES[name], registry.surrogate(name)
    assert (built.name, built.provides, built.kinds) == (name, entry.provides, entry.kinds)
    assert (getattr(built, "reads", ()), getattr(built, "parameters", ())) == (entry.reads, entry.parameters)


@pytest.mark.parametrize("name", list(registry.ACQUISITIONS))
def test_the_table_of_acquisitions_says_what_the_classes_say(name):
    entry, built = registry.ACQUISITIONS[name], registry.acquisition(name)
    assert (built.name, built.needs, built.goals) == (name, entry.needs, entry.goals)
    assert getattr(built, "instead", frozenset()) == entry.instead


@pytest.mark.parametrize("name", list(registry.PROPOSERS))
def test_the_table_of_proposers_says_what_the_classes_say(name):
    entry, built = registry.PROPOSERS[name], registry.proposer(name)
    assert (built.name, built.kinds, built.needs_model) == (name, entry.kinds, entry.needs_model)


def test_names_are_checked_without_torch():
    code = (
        "import sys; from theoros.models import registry, contract; "
        "registry.compatible('gp', 'log_ei', 'optimize'); "
        "heavy = {'torch', 'botorch', 'gpytorch', 'rdkit', 'ray', 'pandas', 'scipy'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("build", "name", "meant"),
    [
        (registry.surrogate, "gpp", "gp"),
        (registry.acquisition, "log_ie", "log_ei"),
        (registry.proposer, "sobl", "sobol"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_the_name_that_was_meant(build, name, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
        build(name)


@pytest.mark.parametrize("goal", ["optimize", "learn"])
def test_the_defaults_go_together_in_every_space(
    square, mixed, molecules, molecule_library, table_library, make_problem, goal
):
    for space in (square, mixed, molecules, molecule_library, table_library):
        problem = make_problem(space, goal=goal)
        surrogate, acquisition = registry.default_surrogate(problem), registry.default_acquisition(problem)
        registry.check_surrogate_name(surrogate, problem)
        registry.compatible(surrogate, acquisition, goal)
        for name in (*registry.default_proposers(problem), registry.initial_proposer(problem)):
            registry.check_proposer_name(name, problem)
        assert not registry.proposer(registry.initial_proposer(problem)).needs_model


def test_two_acquisitions_take_turns_where_molecules_are_made_and_one_decides_elsewhere(
    molecules, molecule_library, make_problem
):
    assert registry.default_acquisition(make_problem(molecules)) == "molecular_portfolio"
    assert registry.default_acquisition(make_problem(molecule_library)) == "log_ei"
    assert registry.default_acquisition(make_problem(molecules), "random_forest") == "thompson"
    levels = make_problem(molecules, fidelities=("cheap", "truth"))
    assert registry.default_acquisition(levels) == "log_ei"


@pytest.mark.parametrize("goal", ["optimize", "learn"])
@pytest.mark.parametrize("name", list(registry.SURROGATES))
def test_every_surrogate_has_an_acquisition_that_goes_with_it(square, molecules, make_problem, goal, name):
    space = square if "parameters" in registry.SURROGATES[name].kinds else molecules
    acquisition = registry.default_acquisition(make_problem(space, goal=goal), name)
    assert acquisition != "random"
    registry.compatible(name, acquisition, goal)


def test_an_acquisition_of_another_goal_is_refused():
    with pytest.raises(ValueError, match=r"serves the goal 'learn'.*Use one of 'log_ei'"):
        registry.compatible("gp", "integrated_variance", "optimize")


def test_an_acquisition_that_needs_more_than_the_surrogate_offers_is_refused(monkeypatch):
    poor = registry.SurrogateEntry("x:Y", frozenset({"mean", "variance"}), frozenset({"parameters"}))
    monkeypatch.setattr(registry, "SURROGATES", {**registry.SURROGATES, "forest": poor})
    registry.compatible("forest", "std", "optimize")
    with pytest.raises(ValueError, match=r"needs 'posterior', which the surrogate 'forest' lacks.*'std'"):
        registry.compatible("forest", "log_ei", "optimize")


def test_a_surrogate_of_another_kind_is_refused(molecules, make_problem):
    with pytest.raises(ValueError, match="Use 'tanimoto_gp'"):
        registry.check_surrogate_name("gp", make_problem(molecules))


def test_a_proposer_of_another_space_is_refused(molecule_library, molecules, make_problem):
    with pytest.raises(ValueError, match="works on infinite spaces"):
        registry.check_proposer_name("genetic", make_problem(molecule_library))
    with pytest.raises(ValueError, match="makes 'parameters'"):
        registry.check_proposer_name("acquisition_optimizer", make_problem(molecules))


def test_a_users_own_class_is_named_by_its_path():
    built = registry.surrogate("theoros.models.surrogates.gaussian_process:GaussianProcess")
    assert built.name == "gp"
    with pytest.raises(ValueError, match="can't be loaded"):
        registry.acquisition("theoros.models.nothing:Here")
