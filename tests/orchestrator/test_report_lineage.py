"""Where the best molecules come from, and the map of what was labelled."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.DataStructs import TanimotoSimilarity

from tests.orchestrator.molecule_book import ALKANES, AROMATICS, Book, properties
from theoros.db.records import (
    CandidateRecord,
    DecisionRecord,
)
from theoros.oracles.candidate import content_hash
from theoros.orchestrator.report.chemical_map import chemical_map
from theoros.orchestrator.report.history import read_history
from theoros.orchestrator.report.lineage import origins
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.similarity import bit_matrix, tanimoto


def test_the_nearest_molecule_is_one_that_had_a_label_when_the_decision_was_made(store):
    book = Book(store)
    book.label("CCCCC", "pool")
    book.label("c1ccccc1", "pool")
    book.decide("Cc1ccccc1")  # has no label yet when the next one is decided
    book.model(2)
    book.decide("CCc1ccccc1", beliefs={"logp": (2.0, 0.1)}, value=0.5)
    book.answer()
    last = book.label("CCCc1ccccc1", beliefs={"logp": (2.5, 0.1)}, value=0.75)
    history = read_history(store, "demo")
    found = {origin.sample.number: origin for origin in origins(history, history.samples)}
    relatives = {number: origin.relative.smiles if origin.relative else None for number, origin in found.items()}
    assert relatives == {1: None, 2: "CCCCC", 3: "c1ccccc1", 4: "c1ccccc1", 5: "CCc1ccccc1"}
    assert found[last].similarity == pytest.approx(rdkit_similarity("CCCc1ccccc1", "CCc1ccccc1"), abs=1e-12)
    written = page(store, "demo")
    assert "sample 5, proposed by genetic, chosen for its log_ei 0.75, by model version 1 (tanimoto_gp, 2 labels)" in (
        written
    )
    assert f"similarity {found[last].similarity:.2f}, sample 4 at true, proposed by genetic: logp" in written


def test_a_molecule_s_own_earlier_label_is_no_relative_and_is_told(store):
    book = Book(store)
    book.label("CCCC", "pool")
    book.label("CCCCCC", "pool", fidelity="cheap")
    book.label("CCCCCC", "promotion")
    history = read_history(store, "demo")
    (origin,) = origins(history, history.ranked[:1])
    assert (origin.sample.number, [s.number for s in origin.before]) == (3, [2])
    assert origin.relative is not None
    assert origin.relative.smiles == "CCCC"
    value = properties("CCCCCC")["logp"]
    assert f"known before at cheap: logp {value:.5g} (sample 2)" in page(store, "demo")


def test_an_answer_that_another_campaign_has_is_known_from_the_decision_on(store):
    Book(store, "first").label("CCCC")
    second = Book(store, "second")
    candidate = CandidateRecord(content_hash("CCCC"), "molecule", {"smiles": "CCCC"}, "CCCC")
    store.enqueue("second", [DecisionRecord(candidate, "true", "first CCCC", "pool")], required_outputs=["logp"])
    time.sleep(0.003)
    second.label("CCCCC")
    history = read_history(store, "second")
    (origin, alone) = origins(history, history.ranked)
    assert origin.relative is not None
    assert origin.relative.smiles == "CCCC"
    assert origin.relative.cpu_seconds == 0
    assert alone.relative is None


def test_molecules_that_are_alike_lie_near_each_other(demo):
    found = chemical_map(read_history(demo, "demo"))
    assert found is not None
    places = {sample.smiles: place for sample, place in zip(found.samples, found.places[:, 0], strict=True)}
    rings = np.array([places[smiles] for smiles in AROMATICS])
    chains = np.array([places[smiles] for smiles in [*ALKANES, "CCCCCCCC"]])
    assert rings.min() > chains.max() or rings.max() < chains.min()
    assert 0 < found.shares[1] <= found.shares[0] < 1
    assert found.molecules == len(found.samples) == 13, "octane, with two labels, is there once"
    octane = next(sample for sample in found.samples if sample.smiles == "CCCCCCCC")
    assert octane.evaluation.fidelity == "true"


def test_a_large_campaign_is_drawn_by_lot_and_the_best_are_always_there(demo):
    history = read_history(demo, "demo")
    found, again = (chemical_map(history, most=12, seed=seed) for seed in (3, 3))
    assert found is not None
    assert again is not None
    assert (len(found.samples), found.molecules) == (12, 13)
    assert np.array_equal(found.places, again.places)
    assert {sample.number for sample in history.ranked[:12]} == {sample.number for sample in found.samples}


def test_parents_are_told_as_the_proposer_knew_them_and_what_is_known_of_them(store):
    book = Book(store)
    propane = book.label("CCC", "pool")
    butane = book.label("CCCC", "pool", fidelity="cheap")
    book.decide("CCN")  # is asked and has no label when the next one is decided
    edges = [("CCCCC", "CCCO"), ("CCCCC", "CCN"), ("CCCO", "CCC"), ("CCCO", "CCCC"), ("CCN", "CCN")]
    pentane = book.label("CCCCC", parents=edges)
    history = read_history(store, "demo")
    winner = next(sample for sample in history.samples if sample.number == pentane)
    (origin,) = origins(history, [winner])
    alcohol, amine = origin.parents
    assert (alcohol.smiles, alcohol.sample) == ("CCCO", None)
    assert [(p.smiles, p.sample and p.sample.number) for p in alcohol.parents] == [("CCC", propane), ("CCCC", butane)]
    assert (amine.smiles, amine.sample, amine.parents) == ("CCN", None, ()), (
        "its label came later, and nothing is its own parent"
    )
    text = page(store, "demo")
    logp = properties("CCC")["logp"]
    assert f"one of two parents: without a label then; made of CCC (sample {propane} at true" in text
    assert f"logp {logp:.5g}" in text
    assert "nearest molecule that had a label then" not in text.split("sample 4, proposed by")[1].split("</article>")[0]


def test_a_molecule_may_have_three_parents(store):
    book = Book(store)
    book.label("CCC", "pool")
    book.label("CCCCC", parents=[("CCCCC", parent) for parent in ("CCC", "CCN", "CCO")])
    assert page(store, "demo").count("one of 3 parents: ") == 3


def test_of_two_labels_of_a_parent_the_one_at_the_target_is_told(store):
    book = Book(store)
    book.label("CCC", "pool")
    true = book.label("CCCC", "pool")
    cheap = book.label("CCCC", "pool", fidelity="cheap")
    child = book.label("CCCCC", parents=[("CCCCC", "CCCC")])
    history = read_history(store, "demo")
    (origin,) = origins(history, [sample for sample in history.samples if sample.number == child])
    assert cheap > true
    assert [parent.sample and parent.sample.number for parent in origin.parents] == [true]


def test_molecules_that_differ_in_nothing_the_fingerprint_sees_make_no_map(store):
    book = Book(store)
    for smiles in ["C[C@H](O)[C@H](F)Cl", "C[C@@H](O)[C@H](F)Cl", "C[C@H](O)[C@@H](F)Cl"]:
        book.label(smiles)
    assert chemical_map(read_history(store, "demo")) is None


@given(st.lists(st.sampled_from([*ALKANES, *AROMATICS, "CCO", "O=C=O", "C"]), min_size=1, max_size=6))
def test_similarities_are_those_of_counts(smiles):
    bits = bit_matrix(smiles)
    likeness = tanimoto(bits, bits)
    assert np.array_equal(likeness, likeness.T)
    assert np.array_equal(np.diag(likeness), np.ones(len(smiles)))
    for i, first in enumerate(smiles):
        assert likeness[i].tolist() == pytest.approx([rdkit_similarity(first, second) for second in smiles])


def rdkit_similarity(first: str, second: str) -> float:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=3)
    prints = [generator.GetSparseCountFingerprint(Chem.MolFromSmiles(smiles)) for smiles in (first, second)]
    return float(TanimotoSimilarity(*prints))
