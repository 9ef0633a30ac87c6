"""What the screening benchmark counts, and what it says when its data are not there."""

import gzip

import numpy as np
import pytest

from benchmarks import screening
from benchmarks.screening import FILES, Pool, at_random


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Five molecules, of which one failed to dock; the second best score is a tie of two, of which one counts."""
    monkeypatch.setattr(screening, "BEST", 2)
    with gzip.open(tmp_path / FILES[0], "wt") as file:
        file.write("smiles\nC\nCC\nCCC\nCCCC\nCCO\n")
    with gzip.open(tmp_path / FILES[1], "wt") as file:
        file.write("smiles,score\nC,-9.0\nCC,-8.0\nCCC,-8.0\nCCCC,-1.0\n")
    return Pool.read(tmp_path)


def test_a_missing_file_is_named_with_advice(tmp_path):
    with pytest.raises(SystemExit, match=r"no Enamine10k\.csv\.gz and no Enamine10k_scores\.csv\.gz.*MolPAL"):
        Pool.read(tmp_path)


def test_scores_are_counted_as_a_multiset_and_a_failure_finds_nothing(pool):
    named = {candidate.data["smiles"]: candidate for candidate in pool.candidates}
    assert pool.found([named["C"], named["CC"]]) == 100
    assert pool.found([named["CC"], named["CCC"]]) == 50
    assert pool.found([named["CCO"], named["CCCC"]]) == 0
    assert len(pool.dataset([named["CCO"], named["C"]])) == 1


def test_nothing_is_asked_twice(pool):
    asked = list(at_random(pool, [], 3, 0))
    rest = at_random(pool, asked, 9, 1)
    assert len(rest) == 2
    assert not {c.hash for c in rest} & {c.hash for c in asked}
    assert np.isnan([pool.scores[c.hash] for c in pool.candidates]).sum() == 1
