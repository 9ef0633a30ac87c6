"""The bookkeeping of the benchmark PMO: what counts as a call, and the area under the course of the ten best."""

import numpy as np
import pytest

from benchmarks import pmo
from tests.models.near_copies import fullest
from theoros.models import decide
from theoros.models.diversity import Quota


def test_the_area_counts_zeros_until_there_are_ten():
    # One to ten molecules of score 1 give means of the ten best of 0.1 to 1.0: 5.5 in ten calls.
    assert pmo.auc(np.ones(10), 10) == pytest.approx(0.55)
    assert pmo.auc(np.ones(100), 100) == pytest.approx((5.5 + 90) / 100)


def test_what_a_method_leaves_of_its_budget_counts_at_its_last_value():
    assert pmo.auc(np.ones(10), 20) == pytest.approx((5.5 + 10) / 20)


def test_only_the_ten_best_count():
    scores = np.concatenate([np.full(10, 0.5), np.zeros(90)])
    assert pmo.auc(scores, 100) == pytest.approx((0.5 * 5.5 + 0.5 * 90) / 100)


def test_a_molecule_is_paid_for_once_and_the_budget_is_kept():
    score = pmo.Counter("qed", 2)
    first = score("CCO")
    assert 0 < first < 1
    score("CCN")
    assert score("CCO") == first
    with pytest.raises(pmo.BudgetSpent):
        score("CCC")
    assert len(score.scores) == 2


def test_the_quota_keeps_near_copies_out_of_the_batches_that_it_asks(monkeypatch):
    asked, select = [], decide.select

    def watched(*args, **more):
        choices = select(*args, **more)
        asked.append([choice.point.candidate for choice in choices])
        assert not any("no proposal keeps to" in choice.reason for choice in choices)
        return choices

    monkeypatch.setattr(decide, "select", watched)
    with pytest.raises(pmo.BudgetSpent):
        pmo.METHODS["quota"](pmo.Counter("albuterol_similarity", 15), 0)
    assert [len(batch) for batch in asked] == [10]
    assert all(fullest(batch, Quota(0.6, 2)) <= 2 for batch in asked)


def test_circles_tell_one_scaffold_from_many():
    alike = ["C" * n + "O" for n in range(6, 12)]
    unlike = ["CCCCCC", "c1ccccc1", "N#CCC#N", "FC(F)(F)F", "OS(=O)(=O)O", "C1CC1"]
    assert pmo.spread_of(alike)[0] < pmo.spread_of(unlike)[0] == 6
    assert pmo.spread_of(alike)[1] < pmo.spread_of(unlike)[1]
