"""Libraries in memory: the same candidates as streamed ones, drawn without going through what was seen."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.timing import processor_seconds
from theoros.oracles.spaces import Library
from theoros.oracles.spaces.held import Rows

TABLE = "dose,base\n" + "".join(f"{i / 7},{'abc'[i % 3]}\n" for i in range(40)) + ",a\n1.5,\n"


@pytest.fixture
def library(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    return Library(str(tmp_path / "table.csv"))


@pytest.fixture
def wide(tmp_path):
    """100,000 rows of numbers."""
    values = np.random.default_rng(0).random((100_000, 3))
    pq.write_table(pa.table({f"x{i}": values[:, i] for i in range(3)}), tmp_path / "wide.parquet")
    return Library(str(tmp_path / "wide.parquet"))


def test_a_held_table_gives_the_candidates_that_a_streamed_one_gives(library, monkeypatch):
    rows = [41, 3, 17, 3, 40, 0]
    held = library.take(rows)
    monkeypatch.setattr("theoros.oracles.spaces.library.MOST_CELLS", 0)
    assert [c.hash for c in held] == [c.hash for c in library.take(rows)]
    assert len(held) == 4  # rows 40 and 41 lack a value


def test_held_molecules_are_the_streamed_ones(tmp_path, monkeypatch):
    (tmp_path / "pool.smi").write_text("OCC a\nC1=CC=CC=C1 b\nnonsense c\nC d\n")
    library = Library(str(tmp_path / "pool.smi"))
    held = library.take([3, 2, 0, 1])
    monkeypatch.setattr("theoros.oracles.spaces.library.MOST_CELLS", 0)
    assert [c.text for c in held] == [c.text for c in library.take([3, 2, 0, 1])] == ["C", "CCO", "c1ccccc1"]


def test_rows_are_a_sequence_of_candidates_with_their_columns_beside_them(library):
    rows = library.rows()
    assert isinstance(rows, Rows)
    assert len(rows) == 40
    assert [c.hash for c in rows] == [c.hash for block in library.iterate() for c in block]
    assert np.allclose(rows.column("dose"), [c.data["dose"] for c in rows], rtol=1e-11)  # candidates are rounded
    assert rows.column("base").tolist() == [c.data["base"] for c in rows]
    assert rows.hash_of(5) == rows.hash_of(5) == rows[5].hash
    assert [c.hash for c in rows[10:13]] == [rows[i].hash for i in (10, 11, 12)]


def test_what_was_seen_or_is_not_feasible_is_not_drawn(library):
    everything = list(library.rows())
    seen = {candidate.hash for candidate in everything[::2]}
    drawn = library.draw(100, np.random.default_rng(0), seen, lambda c: c.data["base"] != "a")
    expected = {c.hash for c in everything if c.hash not in seen and c.data["base"] != "a"}
    assert {c.hash for c in drawn} == expected


def test_every_row_is_drawn_as_often_as_any_other(library):
    rng = np.random.default_rng(1)
    counts: dict[str, int] = {}
    for _ in range(1_000):
        for candidate in library.draw(4, rng, ()):
            counts[candidate.hash] = counts.get(candidate.hash, 0) + 1
    assert len(counts) == 40
    assert max(abs(count - 100) for count in counts.values()) < 45  # standard deviation 9.5


def test_a_nearly_exhausted_table_gives_up_its_last_rows(wide):
    rows = wide.rows()
    last = {rows.hash_of(i) for i in (7, 70_000, 99_999)}
    seen = {rows.hash_of(i) for i in range(len(rows))} - last
    assert {c.hash for c in wide.draw(10, np.random.default_rng(0), seen)} == last


def test_drawing_takes_no_longer_because_much_was_seen(wide):
    rows = wide.rows()
    few = {rows.hash_of(i) for i in range(100)}
    many = {rows.hash_of(i) for i in range(50_000)}

    def seconds(seen):
        return processor_seconds(lambda: wide.draw(50, np.random.default_rng(0), seen), runs=5)

    assert seconds(many) < 5 * seconds(few) + 0.01
