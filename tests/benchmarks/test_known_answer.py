"""The libraries whose answer is known: their labels are the oracle's, and finding is counted by rank."""

import math

import pytest

from benchmarks import known_answer
from benchmarks.known_answer import RECIPES, best, known, read
from theoros.oracles.candidate import Candidate


@pytest.mark.parametrize("name", RECIPES)
def test_the_stored_labels_are_those_of_the_recipe(name):
    assert list(known(name)) == RECIPES[name].molecules()


@pytest.mark.parametrize("name", RECIPES)
def test_a_stored_label_is_what_the_oracle_answers(name):
    oracle, labels = RECIPES[name].oracle(), known(name)
    smiles = min(labels, key=len)
    answer = oracle.evaluate(Candidate("molecule", {"smiles": smiles}), oracle.fidelities[-1].name)
    assert answer.values["gap"] == pytest.approx(labels[smiles], abs=2e-4)


def test_the_best_are_those_with_the_smallest_gaps():
    pool, labels = read("gfn2"), known("gfn2")
    ordered = sorted((smiles for smiles in labels if not math.isnan(labels[smiles])), key=labels.__getitem__)
    asked = [pool.library.candidate(smiles) for smiles in ordered]
    assert best(pool, 0.01).found(asked[:10]) == 50  # ten of the best twenty
    assert best(pool, 0.01).found(asked[20:40]) == 0
    assert best(pool, 0.05).found(asked[20:40]) == 20
    assert len(pool.candidates) == 2000


def test_missing_labels_are_told_with_the_command_that_computes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(known_answer, "FOLDER", tmp_path)
    with pytest.raises(SystemExit, match=r"has 0 of 2000 labels\..*known_answer --label --libraries gfn2"):
        read("gfn2")
