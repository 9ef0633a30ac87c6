"""Oracles are found by name, by entry point or by module:Name, and a wrong name is met with the right ones."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from theoros.oracles import registry
from theoros.oracles.failures import MissingDependency
from theoros.oracles.registry import BUILT_IN, SUMMARIES, OracleNotFoundError, available, find

MODULE = """
from theoros.oracles import Parameters, Real, oracle

class Maker:
    class Inner:
        pass

@oracle(space=Parameters(x=Real(0, 1)), outputs={"y": "eV"})
def parabola(x):
    return (x - 0.3) ** 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "registry_example.py").write_text(MODULE)
    (tmp_path / "registry_incomplete.py").write_text("import a_library_nobody_has\n")
    monkeypatch.setattr("sys.path", list(importlib.sys.path))
    return tmp_path


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_name_leads_to_an_oracle_class(name):
    found = find(name)
    assert isinstance(found, type)
    assert callable(found.evaluate)
    assert SUMMARIES[name]


def test_built_in_oracles_are_listed_with_a_line_each():
    listed = {item.name: item for item in available()}
    assert set(BUILT_IN) <= set(listed)
    assert listed["pyscf"].source == "built-in"


def test_a_module_is_looked_for_in_the_campaigns_folder(folder):
    assert find("registry_example:parabola", folder)(0.3) == 0
    assert find("registry_example:Maker.Inner", folder).__name__ == "Inner"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("pyscv", "Did you mean 'pyscf'"),
        ("zzz", "There are pyscf, "),
        ("registry_example:parabol", "Did you mean 'parabola'"),
        ("registry_exampel:parabola", "no module 'registry_exampel' in "),
        ("registry_example.py:parabola", "can't be read as module:Name"),
        ("folder/registry_example:parabola", "can't be read as module:Name"),
        ("registry_example:", "can't be read as module:Name"),
    ],
)
def test_a_wrong_reference_is_met_with_the_mend(folder, reference, said):
    with pytest.raises(OracleNotFoundError, match=said):
        find(reference, folder)


def test_a_missing_library_is_not_taken_for_a_missing_oracle(folder):
    with pytest.raises(MissingDependency, match="a_library_nobody_has"):
        find("registry_incomplete:Something", folder)


def points(monkeypatch: pytest.MonkeyPatch, *listed: tuple[str, str]) -> None:
    entries = [EntryPoint(name, value, registry.ENTRY_POINT_GROUP) for name, value in listed]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == registry.ENTRY_POINT_GROUP else [])


def test_an_entry_point_is_found_by_its_name(monkeypatch):
    points(monkeypatch, ("mine", "theoros.oracles.lookup:LookupOracle"))
    assert find("mine").__name__ == "LookupOracle"
    assert ("mine", "theoros.oracles.lookup:LookupOracle") in [(item.name, item.source) for item in available()]


def test_two_packages_with_one_name_are_an_error_and_not_a_lottery(monkeypatch):
    points(monkeypatch, ("mine", "a:A"), ("mine", "b:B"))
    with pytest.raises(OracleNotFoundError, match="a:A and b:B"):
        find("mine")


def test_no_package_can_take_a_built_in_name(monkeypatch):
    points(monkeypatch, ("lookup", "theoros.oracles.synthetic:SyntheticOracle"))
    assert find("lookup").__name__ == "LookupOracle"
    assert [item.source for item in available() if item.name == "lookup"] == ["built-in"]
