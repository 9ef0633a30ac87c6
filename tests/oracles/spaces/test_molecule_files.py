"""A file of molecules is read to its end, or refused with its line, its reasons and the mend."""

from __future__ import annotations

import codecs
import gzip
import logging

import numpy as np
import pytest

from theoros.oracles.spaces import Library, Molecules, SpaceError, space_from_dict
from theoros.oracles.spaces.fit import MOST_TRIED, check_fit
from theoros.oracles.spaces.table import count_rows, read_through

LATIN = "CCO\nCCN caf\xe9\nCC\n".encode("latin-1")


def test_a_file_that_is_not_utf8_is_refused_with_its_line_when_the_space_is_declared(tmp_path):
    (tmp_path / "mine.smi").write_bytes(LATIN)
    with gzip.open(tmp_path / "mine.smi.gz", "wb") as file:
        file.write(LATIN)
    for name in ("mine.smi", "mine.smi.gz"):
        with pytest.raises(SpaceError) as caught:
            space_from_dict({"molecules": {"file": name}}, tmp_path)
        assert caught.value.field == ("molecules", "file")
        assert f"{name}: line 2 is not UTF-8 text: it has the byte 0xe9. Save the file as UTF-8." in str(caught.value)
        with pytest.raises(SpaceError, match="line 2 is not UTF-8 text"):
            _ = Library(str(tmp_path / name)).size


def test_a_table_whose_smiles_are_not_utf8_is_refused_and_other_columns_may_be(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes("smiles,name\nCCO,caf\xe9\nCCN,b\n".encode("latin-1"))
    assert {c.text for c in Molecules(file=str(path)).seeds()} == {"CCO", "CCN"}
    path.write_bytes("smiles,name\nCCO,a\nCC\xe9,b\n".encode("latin-1"))
    with pytest.raises(SpaceError, match=r"Row #3: .*Save it as UTF-8"):
        Molecules(file=str(path))


@pytest.mark.parametrize(("name", "header"), [("mine.smi", ""), ("mine.csv", "smiles\n"), ("quoted.csv", '"smiles"\n')])
def test_a_mark_of_utf8_is_no_part_of_the_first_molecule(tmp_path, name, header):
    path = tmp_path / name
    path.write_bytes(codecs.BOM_UTF8 + f"{header}CCO\nCCN\n".encode())
    assert {c.text for c in Molecules(file=str(path)).seeds()} == {"CCO", "CCN"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('smiles\n"CCO\nCCN\nCC\n', 2),
        ('smiles,name\nCCO,a\nCC,"b\nCCN,c\n', 3),
        ('smiles,name\n"CCO",""\nCC,"b""\nCCN,""""\n"CC","d', 3),
        ('"smiles\nCCO\n', 1),
    ],
)
def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path, text, line):
    """The rest of the file would be one value, and its rows would be lost without a word."""
    path = tmp_path / "mine.csv"
    path.write_text(text)
    for read in (lambda: Molecules(file=str(path)), lambda: count_rows(str(path))):
        with pytest.raises(SpaceError, match=f"line {line} opens a quote that is never closed") as caught:
            read()
        assert caught.value.field == ("file",)
        assert "Close it" in str(caught.value)


def test_quotes_that_are_closed_and_quotes_within_a_value_are_text(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('smiles,name\n"CCO","a ""b"", c"\nCCN,5" pipe\nCC,"two\nlines"\nC,""\n')
    assert {c.text for c in Molecules(file=str(path)).seeds()} == {"CCO", "CCN", "CC", "C"}


def test_a_file_is_read_through_again_when_it_has_changed(tmp_path):
    path = tmp_path / "mine.smi"
    path.write_text("CCO\n")
    read_through(str(path), ("smiles",))
    path.write_bytes(LATIN)
    with pytest.raises(SpaceError, match="line 2"):
        read_through(str(path), ("smiles",))


# -- whether the molecules lie in the space ------------------------------------------------------------------------


def of(tmp_path, lines, **rules) -> Molecules:
    path = tmp_path / "mine.smi"
    path.write_text("".join(f"{line}\n" for line in lines))
    return Molecules(file=str(path), **rules)


def test_a_file_without_a_molecule_of_the_space_is_refused_with_the_reasons(tmp_path):
    with pytest.raises(SpaceError) as caught:
        check_fit(of(tmp_path, ["CCCC", "CCCCC", "xx", "[Fe]", "[CH3]"], heavy_atoms=(1, 3)))
    assert caught.value.field == ("molecules", "file")
    assert caught.value.message == (
        "of the 5 lines of mine.smi none is a molecule of the space. Turned away were 2 (it has too few or too many "
        "heavy atoms, allowed are 1..3), 1 (it is no SMILES that can be read), 1 (it contains Fe, allowed are C, "
        "N, O, F, S), 1 (its atom C is a radical). Set heavy_atoms to what the file holds (those are of 4..5), or name "
        "another file."
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no molecules. Write one SMILES a line."),
        (["name,smiles", "a,CCO", "b,CC"], "Begin each line with a SMILES, or give the file a column 'smiles'."),
        (["C[Si](C)(C)C"], "of the 1 line of mine.smi none"),
    ],
)
def test_the_mend_is_about_the_most_frequent_reason(tmp_path, lines, said):
    with pytest.raises(SpaceError) as caught:
        check_fit(of(tmp_path, lines))
    assert said in caught.value.message


def test_a_long_file_is_judged_by_lines_spread_over_it(tmp_path):
    """Files are sorted by size more often than not: their first thousand lines say little of the others."""
    sorted_ = ["C" * n for n in range(1, 40) for _ in range(MOST_TRIED)]
    check_fit(of(tmp_path, sorted_, heavy_atoms=(20, 30)))
    with pytest.raises(SpaceError, match=r"lines spread over the 39,000 of mine\.smi none is .* of 1\.\.39"):
        check_fit(of(tmp_path, sorted_, heavy_atoms=(50, 60)))


def test_a_file_of_which_hardly_any_line_fits_is_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        check_fit(of(tmp_path, ["CCO", *["CCCC"] * 99], heavy_atoms=(1, 3)))
        assert not caplog.text
        check_fit(of(tmp_path, ["CCO", *["CCCC"] * 199], heavy_atoms=(1, 3)))
    assert "few molecules of the space are in the file, 1 of the 200 lines of mine.smi" in caplog.text
    assert "Set heavy_atoms" in caplog.text


def test_a_line_outside_the_space_is_read_once(tmp_path, monkeypatch):
    """What a process has found out is not found out again, and changes no draw."""
    space = of(tmp_path, ["CCCC" + "C" * n for n in range(200)] + ["CCO", "CCN", "CC"], heavy_atoms=(1, 3))
    read = []
    reading = Molecules.reading
    monkeypatch.setattr(Molecules, "reading", lambda self, line: read.append(line) or reading(self, line))
    first = space.sample(5, np.random.default_rng(0))
    assert {c.text for c in first} == {"CCO", "CCN", "CC"}
    assert len(read) == 203
    read.clear()
    assert space.sample(5, np.random.default_rng(0)) == first
    assert sorted(read) == ["CC", "CCN", "CCO"]
