"""check_oracle finds each way of breaking the contract, and only that."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from theoros.oracles import Answer, Fidelity, Parameters, Quantity, Real, Resources
from theoros.oracles.check import check_oracle
from theoros.oracles.failures import NotConverged
from theoros.oracles.reference import OracleReference


class Good:
    """Keeps every clause."""

    name = "good"
    outputs: Mapping[str, Quantity] = MappingProxyType({"y": Quantity("eV")})
    fidelities = (Fidelity("cheap", 0.1, {"n": 1}), Fidelity("full", 1.0, {"n": 2}))
    resources = Resources(timeout=10)
    deterministic = True
    cache_version = "1"

    def __init__(self) -> None:
        self.space = Parameters(x=Real(0, 1, unit="angstrom"))

    def evaluate(self, candidate, fidelity):
        return Answer({"y": self.space.candidate(candidate.data).data["x"]})


def failed(example) -> list[str]:
    return [result.name for result in check_oracle(example) if not result.passed]


def changed(**members):
    return type("Changed", (Good,), members)()


def answering(function):
    return changed(evaluate=lambda self, candidate, fidelity: function(self.space.candidate(candidate.data).data["x"]))


counter = itertools.count()


def failing_first(x):
    if x < 2:
        raise NotConverged("never")


def test_an_oracle_that_keeps_the_contract_passes_everywhere():
    results = check_oracle(Good(), reference=OracleReference("module:Good"))
    assert all(result.passed for result in results)
    assert all(result.detail for result in results)
    assert len(results) == 13


@pytest.mark.parametrize(
    ("example", "clause"),
    [
        (changed(outputs={}), "it has the members of an oracle"),
        (changed(cache_version=1), "it has the members of an oracle"),
        (changed(fidelities=()), "fidelities are sane"),
        (changed(fidelities=(Fidelity("a", 1, {"n": 1}), Fidelity("a", 1, {"n": 2}))), "fidelities are sane"),
        (changed(fidelities=(Fidelity("a", 0.5, {"n": 1}), Fidelity("b", 1, {"n": 1}))), "fidelities are sane"),
        (changed(fidelities=(Fidelity("a", -1), Fidelity("b", 1))), "fidelities are sane"),
        (changed(fidelities=(Fidelity("a", 1), Fidelity("b", 100))), "fidelities are sane"),
        (changed(outputs={"y": Quantity("electronvots")}), "units can be read"),
        (changed(evaluate=lambda self, candidate, fidelity: Answer({"y": 1.0})), "an impossible candidate is refused"),
        (changed(evaluate=lambda self, candidate, fidelity: Answer({"y": candidate.data["x"]})),
         "an impossible candidate is refused"),
        (answering(lambda x: Answer({"y": math.nan})), "its answer keeps the declaration"),
        (answering(lambda x: Answer({"z": x})), "its answer keeps the declaration"),
        (answering(lambda x: Answer({"y": [x, x]})), "its answer keeps the declaration"),
        (answering(lambda x: Answer({"y": x}, {"object": object()})), "details are JSON data"),
        (answering(lambda x: Answer({"y": x + next(counter)})), "the same question has the same answer"),
        (answering(failing_first), "it answers within its deadline"),
        (answering(lambda x: 1 / 0), "it answers within its deadline"),
    ],
)  # fmt: skip
def test_each_broken_clause_is_found(example, clause):
    assert clause in failed(example)


def test_a_space_that_forgets_a_field_on_its_way_through_json_is_found():
    class Forgetful(Parameters):
        def to_dict(self):
            return Parameters(x=Real(0, 2)).to_dict()

    example = Good()
    example.space = Forgetful(x=Real(0, 1))
    assert "its space survives a round trip through JSON" in failed(example)


def test_an_oracle_that_says_it_is_noisy_may_be():
    noisy = answering(lambda x: Answer({"y": x + next(counter)}))
    noisy.deterministic = False
    assert failed(noisy) == []


def test_a_broken_member_breaks_its_check_and_not_the_checking():
    class Raising(Parameters):
        def sample(self, n, rng):
            raise RuntimeError("no")

    example = Good()
    example.space = Raising(x=Real(0, 1))
    details = {result.name: result.detail for result in check_oracle(example) if not result.passed}
    assert details["sampled candidates lie in the space"] == "RuntimeError: no"
