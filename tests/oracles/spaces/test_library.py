"""A library is the rows of a file, read as they are needed."""

from __future__ import annotations

import gzip
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Library, SpaceError, space_from_dict
from theoros.oracles.spaces.library import LibrarySummary

MOLECULES = "id,smiles,score\na,CCO,1\nb,OCC,2\nc,not a molecule,3\nd,c1ccccc1,\ne,,5\nf,C,6\n"
CONDITIONS = "run,base,temperature,yield\n1,K2CO3,20,0.1\n2,Cs2CO3,40.5,0.4\n3,K2CO3,,0.2\n4,K3PO4,80,0.9\n"


@pytest.fixture
def molecules(tmp_path: Path) -> Library:
    (tmp_path / "pool.csv").write_text(MOLECULES)
    return Library(str(tmp_path / "pool.csv"), smiles="smiles", id="id")


@pytest.fixture
def conditions(tmp_path: Path) -> Library:
    (tmp_path / "runs.csv").write_text(CONDITIONS)
    return Library(str(tmp_path / "runs.csv"), id="run", exclude=("yield",), units={"temperature": "degC"})


def everything(library: Library, batch: int = 10_000) -> list[str]:
    return [candidate.text for block in library.iterate(batch) for candidate in block]


def test_molecules_come_in_file_order_and_invalid_rows_are_skipped_and_counted(molecules):
    skipped = []
    found = [c.text for block in molecules.iterate(2, lambda row, why: skipped.append((row, why))) for c in block]
    assert found == ["CCO", "CCO", "c1ccccc1", "C"]
    assert [row for row, _ in skipped] == [2, 4]
    assert "not a molecule" in skipped[0][1]
    assert molecules.size == 6
    summary = molecules.summary()
    assert isinstance(summary, LibrarySummary)
    assert (summary.rows, summary.candidates, summary.duplicates, summary.skipped) == (6, 4, 1, 2)


def test_columns_become_numbers_and_categories(conditions):
    assert conditions.kind == "parameters"
    assert conditions.column_kinds == {"base": "category", "temperature": "number"}
    assert conditions.categories == {"base": ("Cs2CO3", "K2CO3", "K3PO4")}
    assert conditions.ranges == {"temperature": (20.0, 80.0)}
    assert everything(conditions) == [
        "base=K2CO3, temperature=20", "base=Cs2CO3, temperature=40.5", "base=K3PO4, temperature=80"
    ]  # fmt: skip


def test_a_column_whose_type_shows_only_at_its_end_is_read_rightly(tmp_path):
    rows = "".join(f"{i},{i}\n" for i in range(300_000))
    (tmp_path / "late.csv").write_text("x,y\n" + rows + "0.5,text\n")
    library = Library(str(tmp_path / "late.csv"), columns=("x",))
    assert library.column_kinds == {"x": "number"}
    assert library.take([300_000])[0].data == {"x": 0.5}
    with pytest.raises(SpaceError, match="'y' has more than"):
        _ = Library(str(tmp_path / "late.csv"), columns=("y",)).column_kinds


def test_rows_are_taken_in_the_order_asked_for(molecules):
    assert [c.text for c in molecules.take([5, 0, 3, 0])] == ["C", "CCO", "c1ccccc1", "CCO"]
    assert [c.text for c in molecules.take(np.array([2, 5]))] == ["C"]
    assert molecules.names([5, 0]) == ["f", "a"]
    with pytest.raises(IndexError, match="row 6 does not exist"):
        molecules.take([6])
    with pytest.raises(IndexError):
        molecules.take([-1])


def test_samples_are_distinct_and_exhaust_the_library(molecules):
    assert {c.text for c in molecules.sample(50, np.random.default_rng(0))} == {"CCO", "c1ccccc1", "C"}
    assert len(molecules.sample(2, np.random.default_rng(0))) == 2


def test_every_row_has_the_same_chance(tmp_path):
    (tmp_path / "rows.csv").write_text("x\n" + "".join(f"{i}\n" for i in range(20)))
    library = Library(str(tmp_path / "rows.csv"))
    rng = np.random.default_rng(1)
    counts = np.zeros(20)
    for _ in range(300):
        for candidate in library.sample(4, rng):
            counts[int(candidate.data["x"])] += 1
    assert stats.chisquare(counts).pvalue > 1e-3


def test_check_knows_what_is_listed(molecules, conditions):
    molecules.check(molecules.candidate("OCC"))
    with pytest.raises(InvalidCandidate, match=r"CCC is not in pool\.csv"):
        molecules.check(molecules.candidate("CCC"))
    conditions.check(conditions.candidate({"base": "K2CO3", "temperature": 20}))
    with pytest.raises(InvalidCandidate, match="is not in"):
        conditions.check(conditions.candidate({"base": "K2CO3", "temperature": 21}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"base": "K2CO", "temperature": 20}, "not one of"),
        ({"base": "K2CO3", "temperature": "hot"}, "not a finite number"),
        ({"base": "K2CO3"}, "needed are"),
        ("K2CO3", "not a mapping"),
    ],
)
def test_data_that_no_row_could_have_are_refused(conditions, data, said):
    with pytest.raises(InvalidCandidate, match=said):
        conditions.candidate(data)


def test_all_formats_hold_the_same_candidates(tmp_path, conditions):
    table = pa.table(
        {"base": ["K2CO3", "Cs2CO3", "K2CO3", "K3PO4"], "temperature": [20, 40.5, None, 80], "run": [1, 2, 3, 4]}
    )
    pq.write_table(table, tmp_path / "runs.parquet")
    with gzip.open(tmp_path / "runs.csv.gz", "wt") as file:
        file.write(CONDITIONS)
    (tmp_path / "runs.tsv").write_text(CONDITIONS.replace(",", "\t"))
    expected = everything(conditions)
    assert everything(Library(str(tmp_path / "runs.parquet"), exclude=("run",))) == expected
    assert everything(Library(str(tmp_path / "runs.csv.gz"), exclude=("run", "yield"))) == expected
    assert everything(Library(str(tmp_path / "runs.tsv"), exclude=("run", "yield"))) == expected


def test_a_smi_file_needs_no_columns(tmp_path):
    (tmp_path / "pool.smi").write_text("OCC ethanol\nC\tmethane\n\nc1ccccc1\n")
    library = Library(str(tmp_path / "pool.smi"), id="name")
    assert library.kind == "molecule"
    assert everything(library, batch=2) == ["CCO", "C", "c1ccccc1"]
    assert library.size == 3
    assert library.names([1]) == ["methane"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: Library(str(f / "nope.csv")).size, "no file"),
        (
            lambda f: Library(str(f / "pool.csv"), smiles="SMILES").inputs,
            "no column 'SMILES'. It has id, smiles, score",
        ),
        (lambda f: Library(str(f / "pool.csv"), columns=("x",)).inputs, "no column 'x'"),
        (lambda f: Library(str(f / "pool.csv"), exclude=("id", "smiles", "score")).inputs, "no column left"),
        (lambda f: Library(str(f / "pool.xlsx")), "format"),
        (lambda f: Library(str(f / "pool.csv"), smiles="smiles", columns=("score",)), "exclude each other"),
        (lambda f: Library(str(f / "pool.smi"), columns=("score",)), "no other columns"),
        (lambda f: Library(str(f / "pool.csv")).names([0]), "no id column"),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(tmp_path, molecules, make, said):
    with pytest.raises(SpaceError, match=said):
        make(tmp_path)


def test_a_pinned_file_that_changed_is_refused(tmp_path, molecules):
    pinned = space_from_dict(molecules.to_dict())
    assert pinned == molecules
    assert everything(pinned) == everything(molecules)
    (tmp_path / "pool.csv").write_text(MOLECULES + "g,CC,7\n")
    with pytest.raises(SpaceError, match="not the file that was declared"):
        everything(pinned)
    assert molecules.size == 7  # an unpinned library follows its file


def test_a_library_can_be_sent_to_another_process(conditions):
    assert pickle.loads(pickle.dumps(conditions)) == conditions


def test_molecules_too_many_to_be_kept_come_out_the_same(molecules, monkeypatch):
    kept = everything(molecules)
    monkeypatch.setattr("theoros.oracles.spaces.library.CANONICALISED_ROWS", 0)
    skipped = []
    streamed = [c.text for block in molecules.iterate(2, lambda row, why: skipped.append(row)) for c in block]
    assert streamed == kept
    assert skipped == [2, 4]


def test_a_large_file_is_never_held_whole(tmp_path):
    n = 400_000
    table = pa.table({"x": np.arange(n, dtype=np.float64), "y": np.arange(n, dtype=np.float64)})
    pq.write_table(table, tmp_path / "large.parquet", row_group_size=50_000)
    library = Library(str(tmp_path / "large.parquet"), columns=("x", "y"))
    assert library.size == n
    tracemalloc.start()
    drawn = library.sample(20, np.random.default_rng(0))
    first = next(iter(library.iterate(1_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(drawn) == 20
    assert len(first) == 1_000
    assert peak < 40_000_000  # as candidates, the whole file would take several hundred megabytes
