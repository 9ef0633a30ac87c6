"""A decorated function is an oracle and still a function."""

from __future__ import annotations

import pytest

from theoros.oracles import (
    Answer,
    Categorical,
    Fidelity,
    Molecules,
    Oracle,
    Parameters,
    Quantity,
    Real,
    Resources,
    oracle,
)
from theoros.oracles.check import check_oracle
from theoros.oracles.contract import checked_values
from theoros.oracles.failures import BadAnswer, InvalidCandidate

SPACE = Parameters(temperature=Real(20, 120, unit="degC"), base=Categorical("K2CO3", "Cs2CO3"))


@oracle(
    space=SPACE,
    outputs={"yield": Quantity("%"), "mass": "kg"},
    resources=Resources(num_cpus=1, timeout="10min"),
    fidelities=[Fidelity("quick", 0.1, {"steps": 10}), Fidelity("full", 1.0, {"steps": 100})],
)
def reactor(temperature: float, base: str, fidelity: str = "full") -> dict[str, float]:
    """A pretended reactor."""
    return {"yield": temperature / 2 + (fidelity == "full"), "mass": 1.0 if base == "K2CO3" else 5.0}


@oracle(space=Molecules(elements=["C", "N", "O"], heavy_atoms=(1, 5)), outputs={"length": ""})
def length(smiles: str) -> float:
    return float(len(smiles))


@oracle(space=Parameters(x=Real(0, 1)), outputs={"y": ""}, name="noisy", cache_version="3")
def noisy(x, rng):
    return x + rng.standard_normal()


def ask(oracle_, data, fidelity="full"):
    return dict(oracle_.evaluate(oracle_.space.candidate(data), fidelity).values)


def test_it_answers_as_an_oracle_and_as_a_function():
    assert isinstance(reactor, Oracle)
    assert reactor(40.0, "K2CO3") == {"yield": 21.0, "mass": 1.0}
    assert ask(reactor, {"temperature": 40, "base": "K2CO3"}) == {"yield": 21.0, "mass": 1.0}
    assert ask(reactor, {"temperature": 40, "base": "Cs2CO3"}, "quick") == {"yield": 20.0, "mass": 5.0}
    assert reactor.__doc__ == "A pretended reactor."


def test_a_single_output_may_be_returned_bare():
    assert ask(length, "OCC") == {"length": 3.0}


def test_its_name_is_its_place_unless_it_is_given_one():
    assert reactor.name.endswith("test_decorate:reactor")
    assert (noisy.name, noisy.cache_version) == ("noisy", "3")


def test_random_numbers_belong_to_the_candidate():
    assert ask(noisy, {"x": 0.5}) == ask(noisy, {"x": 0.5})
    assert ask(noisy, {"x": 0.5})["y"] - 0.5 != ask(noisy, {"x": 0.6})["y"] - 0.6


@pytest.mark.parametrize("example", [reactor, length, noisy])
def test_it_keeps_the_contract(example):
    assert [result for result in check_oracle(example) if not result.passed] == []


def test_an_answer_passes_through_with_its_details():
    @oracle(space=SPACE, outputs={"y": ""})
    def detailed(temperature, base):
        return Answer({"y": 1.0}, {"note": base})

    assert detailed.evaluate(SPACE.candidate({"temperature": 20, "base": "K2CO3"}), "full").details == {"note": "K2CO3"}


def test_a_result_that_says_nothing_is_a_bad_answer():
    @oracle(space=SPACE, outputs={"y": ""})
    def silent(temperature, base):
        return None

    with pytest.raises(BadAnswer, match="returned NoneType"):
        ask(silent, {"temperature": 20, "base": "K2CO3"})


def test_a_text_for_a_number_is_a_bad_answer():
    @oracle(space=SPACE, outputs={"y": ""})
    def wordy(temperature, base):
        return "a lot"

    answer = wordy.evaluate(SPACE.candidate({"temperature": 20, "base": "K2CO3"}), "full")
    with pytest.raises(BadAnswer, match="not a number"):
        checked_values(wordy.outputs, answer)


def test_what_lies_outside_never_reaches_the_function():
    with pytest.raises(InvalidCandidate):
        ask(reactor, {"temperature": 400, "base": "K2CO3"})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda temperature: 0, "does not take \\['base'\\]"),
        (lambda temperature, base, solvent: 0, "takes \\['solvent'\\]"),
        (lambda smiles: 0, "takes \\['smiles'\\]"),
    ],
)
def test_arguments_that_do_not_fit_the_space_are_refused_at_once(function, said):
    with pytest.raises(TypeError, match=said):
        oracle(space=SPACE, outputs={"y": ""})(function)
