"""What the transfer benchmark measures against: optima that are known, and an ensemble that ranks as its paper says."""

import math

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP

from benchmarks.peer_rgpe import DRAWS, weights
from benchmarks.transfer_problems import Family, branin, couplings, hartmann6, minimum, over_cube


class Still:
    """A generator that draws the middle of every interval: the member of a family that is its namesake."""

    def uniform(self, low, high, size=None):
        return (low + high) / 2 if size is None else np.full(size, (low + high) / 2)


@pytest.mark.parametrize(("family", "dim", "known"), [(branin, 2, 0.397887), (hartmann6, 6, -3.32237)])
def test_the_unchanged_member_of_a_family_has_the_optimum_of_the_literature(family, dim, known):
    assert minimum(family(Still()), dim) == pytest.approx(known, abs=1e-4)


def test_members_differ_and_a_seed_gives_the_same_ones():
    question, again, other = (over_cube(Family(2, 2, branin, branin), seed) for seed in (1, 1, 2))
    candidate = question.space.candidate({"x0": 0.3, "x1": 0.7})
    answers = [answer(candidate) for answer in (question.target, *question.earlier)]
    assert len(set(answers)) == 3
    assert again.target(candidate) == answers[0]
    assert other.target(candidate) != answers[0]
    assert question.best <= min(answers[:1])


def test_couplings_are_those_of_one_halide_after_the_others(tmp_path):
    folder = tmp_path / "reactions" / "buchwald_a"
    folder.mkdir(parents=True)
    halides = {"Cl": 10, "Br": 20, "I": 30}
    rows = [f"FC(F)(F)c1ccc({h})cc1,{a},N,P,{y + n}" for h, y in halides.items() for n, a in enumerate(["CO", "CC"])]
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    question = couplings(tmp_path, "bromide", tmp_path)
    first, second = sorted((c for batch in question.space.iterate() for c in batch), key=question.target)
    assert (question.target(first), question.target(second), question.best) == (20, 21, 21)
    assert sorted(answer(first) for answer in question.earlier) == [10, 30]


def test_missing_data_are_named_with_advice(tmp_path):
    with pytest.raises(SystemExit, match="--data names the folder"):
        couplings(tmp_path, "bromide", tmp_path)


def test_a_model_that_ranks_all_labels_right_gets_the_weight_and_one_that_ranks_them_wrong_gets_none():
    torch.manual_seed(0)
    X = torch.linspace(0, 1, 12, dtype=torch.float64)[:, None]
    y = torch.sin(8 * X)
    y = (y - y.mean()) / y.std()
    right, wrong, own = (SingleTaskGP(X, z, torch.full_like(z, 1e-6), outcome_transform=None) for z in (y, -y, y))
    own_labels = X[::4]
    found = weights([right, wrong], SingleTaskGP(own_labels, y[::4], outcome_transform=None), own_labels, y[::4])
    assert found[0] > 0.5
    assert found[1] == 0
    assert float(found.sum()) == pytest.approx(1.0)
    assert math.isclose(float(found[0]) * DRAWS, round(float(found[0]) * DRAWS))
    assert own.num_outputs == 1
