"""Answers that a benchmark keeps: given once, the same ever after, failures too."""

import pytest

from benchmarks.remembered import RememberedOracle
from theoros.oracles.contract import Answer
from theoros.oracles.failures import NotConverged, OracleFailure
from theoros.oracles.registry import find


class Counting:
    """The oracle `inner`, which counts how often it is asked; it fails where x is above a half."""

    def __init__(self, inner):
        self.inner, self.asked = inner, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def evaluate(self, candidate, fidelity):
        self.asked += 1
        if candidate.data["x1"] > 0.5:
            raise NotConverged("no convergence")
        return Answer({"value": self.inner.evaluate(candidate, fidelity).values["value"]})


@pytest.fixture
def oracle():
    return Counting(find("synthetic")(function="Branin", shift=0))


def test_what_was_answered_is_not_asked_again_in_any_process(oracle, tmp_path):
    path, level = tmp_path / "labels.csv", oracle.fidelities[-1].name
    candidate = oracle.space.candidate({"x1": 0.25, "x2": 0.75})
    one = RememberedOracle(oracle, path, "one")
    given = [one.evaluate(candidate, level).values["value"] for _ in range(2)]
    given.append(RememberedOracle(oracle, path, "one").evaluate(candidate, level).values["value"])
    assert oracle.asked == 1
    assert given[0] == given[1] == given[2] == oracle.inner.evaluate(candidate, level).values["value"]


def test_failures_are_remembered_and_questions_kept_apart(oracle, tmp_path):
    candidate = oracle.space.candidate({"x1": 0.75, "x2": 0.75})
    level = oracle.fidelities[-1].name
    for question, asked in (("one", 1), ("one", 1), ("other", 2)):
        with pytest.raises(OracleFailure, match="no convergence"):
            RememberedOracle(oracle, tmp_path / "labels.csv", question).evaluate(candidate, level)
        assert oracle.asked == asked
