"""What is said of the rows of a table."""

from __future__ import annotations

import pytest

from benchmarks.table import paired


def rows(method: str, values: list[float], problem: str = "f") -> list[dict[str, str]]:
    return [
        {"problem": problem, "method": method, "seed": str(seed), "regret": str(value)}
        for seed, value in enumerate(values)
    ]


def test_methods_are_held_against_each_other_on_the_seeds_that_both_have():
    table = rows("a", [1, 2, 3, 4, 5]) + rows("b", [2, 4, 6, 8, 10, 0]) + rows("b", [0] * 5, problem="g")
    found = paired(table, "regret", "method", "a", "b", problem="f")
    assert (found.n, found.lower) == (5, 5)
    assert found.p == pytest.approx(2 / 2**5)  # all five signs alike, either way


def test_neither_is_better_than_itself_and_one_seed_says_nothing():
    table = rows("a", [1, 2, 3, 4, 5]) + rows("b", [7])
    assert paired(table, "regret", "method", "a", "a", problem="f").lower == 0
    one = paired(table, "regret", "method", "a", "b", problem="f")
    assert (one.n, one.lower) == (1, 1)
    assert one.p != one.p
