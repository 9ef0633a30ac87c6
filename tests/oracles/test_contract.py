"""Answers are held against their declaration; cached answers are shared exactly when they may be."""

from __future__ import annotations

import numpy as np
import pytest

from theoros.oracles import Answer, Fidelity, Parameters, Quantity, Real, Resources, oracle
from theoros.oracles.contract import cache_key, checked_values, fidelity_of
from theoros.oracles.failures import FAILURES, BadAnswer, OracleFailure

OUTPUTS = {"energy": Quantity("eV"), "forces": Quantity("eV/angstrom", ("atoms", 3))}


def test_a_good_answer_comes_back_as_float64_arrays():
    values = checked_values(OUTPUTS, Answer({"energy": 1, "forces": [[0, 0, 1], [0, 0, -1]]}))
    assert values["energy"].shape == ()
    assert values["forces"].shape == (2, 3)
    assert values["forces"].dtype == np.float64


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"energy": 1.0}, "lacks"),
        ({"energy": 1.0, "forces": np.zeros((2, 3)), "gap": 1.0}, "does not declare"),
        ({"energy": float("nan"), "forces": np.zeros((2, 3))}, "not finite"),
        ({"energy": 1.0, "forces": np.zeros((2, 4))}, "shape"),
        ({"energy": [1.0], "forces": np.zeros((2, 3))}, "shape"),
        ({"energy": "low", "forces": np.zeros((2, 3))}, "not a number"),
    ],
)
def test_a_bad_answer_is_refused_by_name(values, said):
    with pytest.raises(BadAnswer, match=said):
        checked_values(OUTPUTS, Answer(values))


def test_a_named_length_is_the_same_within_one_output():
    square = {"matrix": Quantity("", ("n", "n"))}
    assert checked_values(square, Answer({"matrix": np.eye(3)}))["matrix"].shape == (3, 3)
    with pytest.raises(BadAnswer, match="shape"):
        checked_values(square, Answer({"matrix": np.zeros((2, 3))}))


def make(version: str = "1", name: str = "f", settings: dict | None = None, level: str = "full"):
    declare = oracle(
        space=Parameters(x=Real(0, 1)),
        outputs={"y": "eV"},
        name=name,
        cache_version=version,
        fidelities=[Fidelity(level, settings=settings or {})],
    )
    return declare(lambda x: x)


def key(oracle_, x: float = 0.5) -> str:
    return cache_key(oracle_.name, oracle_.cache_version, oracle_.space.candidate({"x": x}), oracle_.fidelities[0])


def test_equal_settings_share_answers_under_any_name_of_the_level():
    assert key(make(settings={"basis": "def2-svp"}, level="a")) == key(make(settings={"basis": "def2-svp"}, level="b"))


@pytest.mark.parametrize(
    "other", [make(version="2"), make(name="g"), make(settings={"basis": "sto-3g"}), make(level="b")]
)
def test_what_changes_answers_changes_the_key(other):
    assert key(other) != key(make())
    assert key(make(), 0.5) != key(make(), 0.6)


def test_an_unknown_fidelity_is_named_with_those_there_are():
    with pytest.raises(KeyError, match="full"):
        fidelity_of(make(), "exact")


def test_failure_classes_are_distinct_and_complete():
    assert {cls.failure_class for cls in OracleFailure.__subclasses__()} | {"oracle_error"} == set(FAILURES)


@pytest.mark.parametrize(
    ("text", "seconds"), [(90, 90), ("90 s", 90), ("10 min", 600), ("2 h", 7200), ("1 day", 86400), ("1.5h", 5400)]
)
def test_durations_read_as_people_write_them(text, seconds):
    assert Resources(timeout=text).timeout == seconds


@pytest.mark.parametrize(("text", "size"), [("2 GiB", 2**31), ("500 MB", 500_000_000), (1024, 1024)])
def test_memory_reads_as_people_write_it(text, size):
    assert Resources(memory=text).memory == size


@pytest.mark.parametrize(
    "wrong", [{"timeout": "soon"}, {"memory": "much"}, {"num_cpus": -1}, {"cpus": 1}, {"timeout": 0}]
)
def test_impossible_resources_are_refused(wrong):
    with pytest.raises(ValueError):
        Resources(**wrong)


def test_a_gpu_is_shared_or_whole():
    assert [Resources(num_gpus=n).num_gpus for n in (0.25, 1, 2)] == [0.25, 1, 2]
    with pytest.raises(ValueError, match=r"1\.5 GPUs cannot be had"):
        Resources(num_gpus=1.5)
