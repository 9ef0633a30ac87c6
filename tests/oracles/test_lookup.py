"""A table stands in for the oracle that filled it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from theoros.oracles import Parameters, Real
from theoros.oracles.check import check_oracle
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.reference import OracleOptionError, OracleReference
from theoros.oracles.spaces import Library, SpaceError

DOCKING = "smiles,affinity,note\nCCO,-5.0,a\nOCC,-6.0,b\nc1ccccc1,,failed to dock\nbroken(,-3,c\nC,-1.5,d\n"
GRID = "x,y,energy,force\n0,0,1.0,0.1\n0,1,2.0,\n1,0,3.0,0.3\n0,0,3.0,0.3\n"


@pytest.fixture
def docking(tmp_path: Path) -> OracleReference:
    with gzip.open(tmp_path / "docking.csv.gz", "wt") as file:
        file.write(DOCKING)
    options = {
        "file": "docking.csv.gz",
        "smiles": "smiles",
        "outputs": {"score": {"column": "affinity", "unit": "kcal/mol"}},
    }
    return OracleReference("lookup", options, search_path=str(tmp_path))


@pytest.fixture
def grid(tmp_path: Path) -> OracleReference:
    (tmp_path / "grid.csv").write_text(GRID)
    return OracleReference(
        "lookup", {"file": "grid.csv", "outputs": {"energy": "energy", "force": "force"}}, search_path=str(tmp_path)
    )


def test_a_molecule_is_found_in_any_writing_and_its_rows_are_averaged(docking):
    oracle = docking.load()
    answer = oracle.evaluate(oracle.space.candidate("OCC"), "table")
    assert answer.values == {"score": -5.5}
    assert answer.details == {"rows": 2}
    assert oracle.outputs["score"].unit == "kcal/mol"


def test_a_row_without_a_value_failed_to_dock(docking):
    oracle = docking.load()
    with pytest.raises(NotConverged, match="no value of score for c1ccccc1"):
        oracle.evaluate(oracle.space.candidate("c1ccccc1"), "table")


def test_a_candidate_that_is_not_listed_is_invalid(docking):
    oracle = docking.load()
    with pytest.raises(InvalidCandidate, match="no row for CCC"):
        oracle.evaluate(oracle.space.candidate("CCC"), "table")


def test_its_space_is_the_list_of_its_rows(docking, grid):
    space = docking.load().space
    assert isinstance(space, Library)
    assert {c.text for block in space.iterate() for c in block} == {"CCO", "c1ccccc1", "C"}
    assert grid.load().space.column_kinds == {"x": "number", "y": "number"}


def test_columns_are_averaged_each_over_the_rows_that_have_it(grid):
    oracle = grid.load()
    assert oracle.evaluate(oracle.space.candidate({"x": 0, "y": 0}), "table").values == {"energy": 2.0, "force": 0.2}
    with pytest.raises(NotConverged, match="no value of force"):
        oracle.evaluate(oracle.space.candidate({"x": 0, "y": 1}), "table")


def test_parquet_holds_the_same(tmp_path, grid):
    columns = {"x": [0, 0, 1, 0], "y": [0, 1, 0, 0], "energy": [1.0, 2.0, 3.0, 3.0], "force": [0.1, None, 0.3, 0.3]}
    pq.write_table(pa.table(columns), tmp_path / "grid.parquet")
    options = {"file": "grid.parquet", "outputs": {"energy": "energy", "force": "force"}}
    oracle, other = OracleReference("lookup", options, search_path=str(tmp_path)).load(), grid.load()
    for x in (0, 1):
        candidate = oracle.space.candidate({"x": x, "y": 0})
        assert oracle.evaluate(candidate, "table").values == other.evaluate(candidate, "table").values


def test_a_campaign_may_give_a_space_of_its_own(tmp_path, grid):
    space = Parameters(x=Real(0, 1), y=Real(0, 1))
    oracle = OracleReference("lookup", grid.options, space.to_dict(), grid.search_path).load()
    assert oracle.space == space
    assert oracle.evaluate(space.candidate({"x": 1.0, "y": 0.0}), "table").values["energy"] == 3.0
    with pytest.raises(InvalidCandidate):
        oracle.evaluate(space.candidate({"x": 0.5, "y": 0.5}), "table")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"file": "nope.csv"}, SpaceError, "no file"),
        ({"outputs": {"e": "enrgy"}}, SpaceError, "no column 'enrgy'. It has x, y, energy, force"),
        ({"outputs": {}}, OracleOptionError, "maps no output"),
        ({"outputs": {"e": 3}}, OracleOptionError, "is no column"),
        ({"smiles": "smile"}, SpaceError, "no column 'smile'"),
        ({"inputs": ["z"]}, SpaceError, "no column 'z'"),
        ({"file": "pool.smi"}, OracleOptionError, "has no answers"),
    ],
)
def test_what_is_missing_is_named(grid, change, error, said):
    with pytest.raises(error, match=said):
        OracleReference("lookup", {**grid.options, **change}, search_path=grid.search_path).load()


def test_text_in_an_output_column_is_an_error_and_not_a_missing_value(tmp_path):
    (tmp_path / "text.csv").write_text("x,y\n0,1\n1,high\n")
    oracle = OracleReference("lookup", {"file": "text.csv", "outputs": {"y": "y"}}, search_path=str(tmp_path)).load()
    with pytest.raises(OracleOptionError, match="no numbers"):
        oracle.evaluate(oracle.space.candidate({"x": 0}), "table")


def test_another_file_is_another_cache_entry(tmp_path, grid):
    before = grid.load().fidelities[0].settings
    (tmp_path / "grid.csv").write_text(GRID.replace("1.0", "9.0"))
    assert grid.load().fidelities[0].settings != before


def test_it_keeps_the_contract(docking, grid):
    for reference in (docking, grid):
        assert [r for r in check_oracle(reference.load(), reference=reference) if not r.passed] == []
