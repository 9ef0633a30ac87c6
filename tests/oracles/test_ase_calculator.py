"""Any ASE calculator as an oracle."""

import sys
import types

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, SCFError
from pydantic import ValidationError

from theoros.oracles.ase_calculator import ASEOracle, calculator_factory
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Oracle, checked_values
from theoros.oracles.failures import InvalidCandidate, MissingDependency, NotConverged
from theoros.oracles.spaces import Molecules, Parameters, Real

PAIR = {"template": "Ar 0 0 0\nAr 0 0 {r}"}
DISTANCES = Parameters(r=Real(0.8, 3.0))


def at(r):
    return Candidate("parameters", {"r": r})


def lennard_jones(**options):
    return ASEOracle(
        calculator="lj", calculator_options={"sigma": 1.0, "epsilon": 1.0, "rc": 10.0, "smooth": False},
        space=DISTANCES, geometry=PAIR, **options,
    )  # fmt: skip


def test_lennard_jones_has_its_minimum_at_the_sixth_root_of_two():
    oracle = lennard_jones(outputs=["energy", "energy_per_atom", "forces"])
    values = checked_values(oracle.outputs, oracle.evaluate(at(2 ** (1 / 6)), "calculator"))
    assert values["energy"] == pytest.approx(-1.0, abs=1e-4)
    assert values["energy_per_atom"] == pytest.approx(-0.5, abs=1e-4)
    assert values["forces"] == pytest.approx(np.zeros((2, 3)), abs=1e-4)


def test_it_is_an_oracle():
    assert isinstance(lennard_jones(), Oracle)


def test_emt_relaxes_carbon_monoxide_downhill():
    options = {"calculator": "emt", "space": Molecules()}
    monoxide = Candidate("molecule", {"smiles": "[C-]#[O+]"})
    raw, relaxed = (
        ASEOracle(**options, geometry={"optimize": optimize}).evaluate(monoxide, "calculator")
        for optimize in ("none", "oracle")
    )
    assert relaxed.values["energy"] < raw.values["energy"]


def test_an_element_that_the_calculator_lacks_is_an_invalid_candidate():
    oracle = ASEOracle(calculator="emt", space=Molecules())
    with pytest.raises(InvalidCandidate, match="emt can't treat"):
        oracle.evaluate(Candidate("molecule", {"smiles": "FF"}), "calculator")


def test_a_users_own_calculator_is_found_by_module_and_name(monkeypatch):
    class Charged(Calculator):
        implemented_properties = ("energy", "dipole", "charges")

        def calculate(self, atoms=None, properties=None, system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results = {"energy": 1.0, "dipole": np.array([0, 0, 1.0]), "charges": np.array([0.5, -0.5])}

    monkeypatch.setitem(
        sys.modules, "my_calculators", types.SimpleNamespace(Charged=Charged, __name__="my_calculators")
    )
    oracle = ASEOracle(
        calculator="my_calculators:Charged", space=DISTANCES, geometry=PAIR,
        outputs=["dipole", "dipole_vector", "charges"],
    )  # fmt: skip
    values = checked_values(oracle.outputs, oracle.evaluate(at(1.0), "calculator"))
    assert values["dipole"] == pytest.approx(4.803, abs=1e-3)  # one electron and proton an angstrom apart
    assert values["dipole_vector"][2] == values["dipole"]
    assert values["charges"].sum() == 0
    with pytest.raises(ValueError, match="gives no forces"):
        ASEOracle(calculator="my_calculators:Charged", space=DISTANCES, geometry=PAIR, outputs=["forces"])


def test_a_calculator_that_fails_is_not_converged(monkeypatch):
    class Stubborn(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, *_):
            raise SCFError("no self-consistency")

    monkeypatch.setitem(sys.modules, "my_calculators", types.SimpleNamespace(Stubborn=Stubborn))
    oracle = ASEOracle(calculator="my_calculators:Stubborn", space=DISTANCES, geometry=PAIR)
    with pytest.raises(NotConverged, match="no self-consistency"):
        oracle.evaluate(at(1.0), "calculator")


def test_a_calculator_whose_package_is_missing_names_the_package():
    with pytest.raises(MissingDependency, match="needs the package 'no_such_package'"):
        calculator_factory("no_such_package.calculators:Best")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'emt'"):
        calculator_factory("emtt")


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(ValidationError):
        ASEOracle(calculator="", space=DISTANCES, geometry=PAIR)


def test_settings_tell_calculators_and_their_options_apart():
    def settings(sigma):
        oracle = ASEOracle(calculator="lj", calculator_options={"sigma": sigma}, space=DISTANCES, geometry=PAIR)
        return oracle.fidelities[0].settings

    assert settings(1.0) == settings(1.0) != settings(2.0)
