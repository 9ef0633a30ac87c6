"""What molecules share is counted once, and the counts are exact whatever was asked before."""

import numpy as np
import pytest
import torch

from theoros.models.fingerprints import FingerprintEncoder
from theoros.models.surrogates import closed_form, fidelity_chain, gaussian_process, overlaps
from theoros.models.surrogates.fidelity_chain import teaching
from theoros.models.surrogates.gaussian_process import TanimotoGaussianProcess
from theoros.models.surrogates.labels import Labels


@pytest.fixture(autouse=True)
def forgotten():
    overlaps._kept.clear()
    yield
    overlaps._kept.clear()


@pytest.fixture
def bits():
    return (torch.rand(1_300, 90, generator=torch.Generator().manual_seed(1)) < 0.2).float()


def exact(bits):
    return (bits.numpy() @ bits.numpy().T).astype(np.int16)


def test_counts_are_exact_as_a_list_grows_shrinks_and_changes(bits):
    changed = bits.clone()
    changed[5] = 1 - changed[5]
    for rows in (bits[:10], bits[:400], bits[:450], bits, bits[:300], changed[:500], bits):
        assert np.array_equal(overlaps.overlaps(rows).numpy(), exact(rows))


def test_only_pairs_with_a_new_row_are_counted(bits, monkeypatch):
    counted, between = [], overlaps._between

    def seen(one, other):
        counted.append((len(one), len(other)))
        return between(one, other)

    monkeypatch.setattr(overlaps, "_between", seen)
    for n in (300, 310, 310, 305):
        overlaps.overlaps(bits[:n].clone())
    assert counted == [(300, 300), (10, 310), (0, 310), (0, 305)]


def test_few_lists_are_kept(bits):
    for first in range(2 * overlaps.MOST_KEPT):
        overlaps.overlaps(bits[first : first + 300])
    assert len(overlaps._kept) == overlaps.MOST_KEPT
    assert np.array_equal(overlaps._kept[-1].counts.numpy(), exact(bits[first : first + 300]))


@pytest.fixture
def many(molecules, make_problem, label):
    problem = make_problem(molecules)
    candidates = molecules.sample(330, np.random.default_rng(0))
    return problem, label(problem, candidates[:300], lambda d: len(d["smiles"]) ** 0.5), candidates[300:]


def test_beyond_some_labels_hyperparameters_come_from_a_part_of_them_and_beliefs_from_all(many, monkeypatch, at):
    problem, dataset, new = many
    for module in (closed_form, fidelity_chain, gaussian_process):
        monkeypatch.setattr(module, "MOST_LABELS", 200)
    monkeypatch.setattr(fidelity_chain, "TEACHING", 120)
    model = TanimotoGaussianProcess().fit(problem, dataset, seed=0)
    assert model.n_labels == 300
    assert not model.fell_back
    assert model.message == ""
    own = model.output("y")
    assert len(own.posterior.X) == 300
    believed = model.predict(list(dataset.points))
    assert np.abs(believed.mean - dataset.values).max() < 0.05, "every label is believed, the 180 others too"
    assert model.predict(at(problem, new)).std.min() > 0.0
    again = TanimotoGaussianProcess().fit(problem, dataset, seed=0, previous=model)
    assert again.predict(at(problem, new)).mean == pytest.approx(model.predict(at(problem, new)).mean, abs=0.05)


def test_teaching_labels_are_spread_over_all_values_of_each_level():
    n = 4_000
    rng = np.random.default_rng(0)
    y, fidelity = rng.normal(size=n), (np.arange(n) < 3_000).astype(np.int64)
    labels = Labels(torch.zeros(n, 1), fidelity, y, np.zeros(2), np.ones(2), ("cheap", "true"))
    rows = teaching(labels)
    assert fidelity_chain.TEACHING <= len(rows) <= fidelity_chain.TEACHING + 2
    assert rows == sorted(set(rows))
    assert fidelity[rows].mean() == pytest.approx(0.75, abs=0.01)
    for level in (0, 1):
        own = y[rows][fidelity[rows] == level]
        assert {own.min(), own.max()} == {y[fidelity == level].min(), y[fidelity == level].max()}
        assert np.quantile(own, [0.1, 0.5, 0.9]) == pytest.approx(
            np.quantile(y[fidelity == level], [0.1, 0.5, 0.9]), abs=0.05
        )
    few = Labels(torch.zeros(9, 1), np.zeros(9, dtype=np.int64), rng.normal(size=9), np.zeros(1), np.ones(1), ("true",))
    assert teaching(few) == list(range(9))


def test_bits_of_the_widest_block_can_be_counted():
    assert max(end - first for first, end in FingerprintEncoder().blocks) < torch.iinfo(torch.int16).max
