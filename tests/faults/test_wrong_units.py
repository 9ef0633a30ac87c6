"""Wherever a unit can come in, it is converted or refused: no number is ever read in another unit than its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles import Answer, Candidate, Parameters, Quantity, Real
from theoros.oracles.command import CommandOracle
from theoros.oracles.contract import checked_values
from theoros.oracles.failures import BadAnswer
from theoros.oracles.lookup import LookupOracle
from theoros.oracles.reference import OracleOptionError
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.spec.errors import SpecError

UNITS = pint.UnitRegistry()
ENERGY = {"energy": Quantity("eV")}
SPACE = Parameters(x=Real(0, 1))

PLUGIN = """
from theoros.oracles import Parameters, Real, oracle

@oracle(space=Parameters(x=Real(0, 1)), outputs={{"energy": "{unit}"}}, name="energetic")
def energetic(x):
    return x
"""


@given(st.floats(-1e6, 1e6))
def test_an_answer_that_carries_another_unit_is_converted_to_the_declared_one(energy):
    values = checked_values(ENERGY, Answer({"energy": UNITS.Quantity(energy, "meV")}))
    assert float(values["energy"]) == pytest.approx(energy / 1000)


def test_arrays_are_converted_too():
    forces = {"forces": Quantity("eV/angstrom", ("atoms", 3))}
    given_ = UNITS.Quantity(np.ones((2, 3)), "eV/nm")
    np.testing.assert_allclose(checked_values(forces, Answer({"forces": given_}))["forces"], 0.1)


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("eV", UNITS.Quantity(1.0, "angstrom"), "came in angstrom; the oracle declares eV"),
        ("eV", UNITS.Quantity(1.0, ""), "came in dimensionless"),
        ("", UNITS.Quantity(1.0, "eV"), "declares no unit"),
        ("evee", UNITS.Quantity(1.0, "eV"), "declares evee"),
        ("eV", [UNITS.Quantity(1.0, "eV"), UNITS.Quantity(2.0, "eV")], "not a number"),
        ("eV", SimpleNamespace(unit="kcal/mol", value=1.0), "carries the unit kcal/mol"),
        ("eV", {"value": 1.0, "unit": "kcal/mol"}, "not a number"),
        ("eV", "1.0 kcal/mol", "not a number"),
    ],
)
def test_an_answer_whose_unit_does_not_fit_is_refused(unit, value, said):
    with pytest.raises(BadAnswer, match=said):
        checked_values({"energy": Quantity(unit)}, Answer({"energy": value}))


def test_a_percentage_is_a_unit():
    assert float(checked_values({"y": Quantity("%")}, Answer({"y": UNITS.Quantity(0.5, "")}))["y"]) == 50.0


@pytest.mark.parametrize("printed", [{"energy": {"value": 1, "unit": "kcal/mol"}}, {"energy": "1 kcal/mol"}])
def test_a_program_that_writes_units_is_refused(printed):
    command = [sys.executable, "-c", f"print({json.dumps(json.dumps(printed)).replace('{', '{{').replace('}', '}}')})"]
    oracle = CommandOracle(command=command, space=SPACE, outputs={"energy": "eV"})
    answer = oracle.evaluate(Candidate("parameters", {"x": 0.5}), "full")
    with pytest.raises(BadAnswer, match="not a number"):
        checked_values(oracle.outputs, answer)


def test_a_table_whose_cells_hold_units_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,energy\n0.5,1 eV\n")
    oracle = LookupOracle(file=str(tmp_path / "t.csv"), outputs={"energy": {"column": "energy", "unit": "eV"}})
    with pytest.raises(OracleOptionError, match="no numbers"):
        oracle.evaluate(Candidate("parameters", {"x": 0.5}), "table")


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "campaign": "units",
        "question": {"minimize": "energy"},
        "oracle": "plugin:energetic",
        "budget": {"labels": 3},
        "acquisition": "random",
    } | changes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    declare(tmp_path, "eV")
    return tmp_path


def declare(home: Path, unit: str) -> None:
    """The plug-in's author says in which unit it answers; the next process reads it."""
    (home / "plugin.py").write_text(PLUGIN.format(unit=unit))
    sys.modules.pop("plugin", None)


@pytest.mark.parametrize(("bound", "value"), [("energy <= 500 meV", 0.5), ("energy <= 0.5", 0.5)])
def test_a_bound_is_converted_to_the_outputs_unit(home, bound, value):
    campaign = Campaign(spec(question={"minimize": "energy", "subject to": [bound]}), home / "t.db", base=home)
    (constraint,) = campaign.plan.problem.constraints
    assert constraint.bound == pytest.approx(value)


def test_a_bound_in_a_unit_that_does_not_fit_is_refused(home):
    with pytest.raises(SpecError, match="can't be converted"):
        Campaign(
            spec(question={"minimize": "energy", "subject to": ["energy <= 3 angstrom"]}), home / "t.db", base=home
        )


def test_a_person_may_tell_an_answer_in_a_unit_of_his_own(home):
    campaign = Campaign(spec(), home / "t.db", base=home)
    campaign.tell(campaign.ask(), UNITS.Quantity(300.0, "meV"))
    with pytest.raises(BadAnswer, match="came in nanometer"):
        campaign.tell(campaign.ask(), UNITS.Quantity(1.0, "nm"))
    assert campaign.labels()["energy"].tolist() == pytest.approx([0.3])


def test_labels_in_one_unit_never_answer_for_an_oracle_in_another(home):
    first = Campaign(spec(), home / "t.db", base=home)
    candidate = first.plan.problem.space.candidate({"x": 0.5})
    declare(home, "kcal/mol")
    second = Campaign(spec(campaign="other"), home / "t.db", base=home)
    assert first.plan.cache_key(candidate, "full") != second.plan.cache_key(candidate, "full")


@pytest.mark.parametrize("make", ["command", "lookup"])
def test_so_it_is_with_the_oracles_whose_units_a_campaign_file_declares(make, tmp_path):
    (tmp_path / "t.csv").write_text("x,energy\n0.5,1\n")

    def settings(unit: str) -> Any:
        if make == "command":
            return CommandOracle(command=["true"], space=SPACE, outputs={"energy": unit}).fidelities[0].settings
        outputs = {"energy": {"column": "energy", "unit": unit}}
        return LookupOracle(file=str(tmp_path / "t.csv"), outputs=outputs).fidelities[0].settings

    assert settings("eV") == settings("eV")
    assert settings("eV") != settings("kcal/mol")


def test_a_campaign_is_not_resumed_with_an_oracle_that_has_changed_its_unit(home):
    campaign = Campaign(spec(), home / "t.db", base=home)
    campaign.tell(campaign.ask(), 1.0)
    campaign.close()
    declare(home, "kcal/mol")
    with pytest.raises(SpecError, match="have 'energy' in eV, and the oracle now gives it in kcal/mol"):
        Campaign.open("units", home / "t.db")
    declare(home, "eV")
    Campaign.open("units", home / "t.db").close()
