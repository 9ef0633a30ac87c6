"""How badly labels near a place were foreseen: hand-made labels whose errors are known."""

import math

import pytest
import torch

from theoros.models.twins.foreseen import Foreseen, nothing_foreseen
from theoros.models.twins.left_out import FARTHEST, LeftOut
from theoros.models.twins.training import Table

NAN = math.nan


@pytest.fixture
def line():
    """Labels at 0, 1, ... 19 with squared errors of one on the left and of four on the right."""
    rows = torch.arange(20.0, dtype=torch.float64)[:, None]
    return Foreseen(rows, torch.where(rows < 10, 1.0, 4.0), reach=1.0)


def test_errors_are_those_of_the_labels_nearby(line):
    near = line.near(torch.tensor([[2.0], [17.0], [9.5]]))[:, 0].tolist()
    assert near == pytest.approx([1, 4, 2.5], rel=1e-3)


def test_far_from_all_labels_the_twin_is_taken_at_its_word(line):
    assert float(line.near(torch.tensor([[60.0]]))) == pytest.approx(1)


@pytest.mark.parametrize("conditions", [0, 1, 5])
def test_before_any_label_the_twin_is_taken_at_its_word_everywhere(conditions):
    assert nothing_foreseen(2).near(torch.zeros((3, conditions))).tolist() == [[1, 1]] * 3


def test_a_place_is_judged_alike_whichever_others_are_asked(line):
    rows = torch.linspace(-2, 22, 50)[:, None]
    alone = torch.cat([line.near(row[None]) for row in rows])
    assert torch.allclose(line.near(rows), alone, rtol=1e-12)


def test_labels_count_that_some_member_had_not_seen_and_as_that_member_told_them():
    """Two members, four labels: the second has not seen label 1, the first not label 2; 0 and 3 were seen by both."""
    blind = torch.tensor([[False, False, True, False], [False, True, False, False]])
    outcomes = torch.tensor([[9.0, 9.0], [3.0, 0.5], [2.0, NAN], [9.0, 9.0]])
    table = Table(torch.arange(4.0)[:, None], outcomes, blind)
    means = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 4, 2)  # they differ by one: a variance of a half
    found = Foreseen.of(LeftOut.of(means, torch.full((2, 4, 2), math.log(0.5)), table), table)
    assert found.rows[:, 0].tolist() == [1, 2]
    squares = found.squares.tolist()
    assert squares[0] == pytest.approx([(3 - 1) ** 2, (0.5 - 1) ** 2])
    assert squares[1][0] == pytest.approx((2 - 0) ** 2)
    assert math.isnan(squares[1][1])
    assert found.reach == 1
    assert found.near(torch.tensor([[2.0]]))[0, 1] == pytest.approx(0.25, rel=0.01), "the other label alone tells of it"


def test_one_label_far_out_does_not_decide():
    table = Table(torch.zeros((1, 1)), torch.tensor([[1e6]]), torch.tensor([[True], [False]]))
    found = Foreseen.of(LeftOut.of(torch.zeros((2, 1, 1)), torch.zeros((2, 1, 1)), table), table)
    assert found.squares.tolist() == [[FARTHEST]]
