"""Spaces from campaign files: one language for people and for the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.spaces import (
    Categorical,
    Integer,
    Library,
    LinearConstraint,
    Molecules,
    Ordinal,
    Parameters,
    Real,
    SpaceError,
    space_from_dict,
)

FULL = """
parameters:
  r: {real: [0.8, 1.2], unit: angstrom}
  k: {real: [1e-3, 10], log: true}
  d: {real: [0, 1], step: 0.25}
  n: {integer: 1..5}
  base: {categorical: [K2CO3, Cs2CO3]}
  size: {ordinal: [small, medium, large]}
constraints: ["r + 2*d <= 3", {coefficients: {n: 1, d: -1}, op: ">=", bound: 1}]
"""


def test_a_campaign_file_reads_as_the_space_it_says():
    assert space_from_dict(yaml.safe_load(FULL)) == Parameters(
        r=Real(0.8, 1.2, unit="angstrom"),
        k=Real(1e-3, 10, log=True),  # YAML 1.1 reads 1e-3 as text
        d=Real(0, 1, step=0.25),
        n=Integer(1, 5),
        base=Categorical("K2CO3", "Cs2CO3"),
        size=Ordinal("small", "medium", "large"),
        constraints=["r + 2*d <= 3", LinearConstraint({"n": 1, "d": -1}, ">=", 1)],
    )


def test_molecules_read_with_their_range():
    space = space_from_dict(yaml.safe_load("molecules: {elements: [C, N, O, F, S], heavy_atoms: 2..9}"))
    assert space == Molecules(elements=("C", "N", "O", "F", "S"), heavy_atoms=(2, 9))
    assert space_from_dict({"molecules": None}) == Molecules()


def test_a_library_is_looked_for_beside_the_campaign_file(tmp_path: Path):
    (tmp_path / "pool.csv").write_text("smiles\nC\n")
    space = space_from_dict({"library": {"file": "pool.csv", "smiles": "smiles"}}, tmp_path)
    assert isinstance(space, Library)
    assert space.size == 1
    assert space_from_dict(space.to_dict()) == space


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("parameters: {r: {real: [1.2, 0.8]}}", ("parameters", "r", "real"), "low 1.2 is not below high 0.8"),
        ("parameters: {r: {reel: [0, 1]}}", ("parameters", "r", "reel"), "Did you mean 'real'"),
        ("parameters: {r: {real: [0, 1], units: m}}", ("parameters", "r", "units"), "Did you mean 'unit'"),
        ("parameters: {r: {real: 3}}", ("parameters", "r", "real"), "not a range"),
        ("parameters: {r: {real: [a, 1]}}", ("parameters", "r", "real"), "'a' is not a number"),
        ("parameters: {r: {real: [0, 1], log: maybe}}", ("parameters", "r", "log"), "not true or false"),
        ("parameters: {r: {real: [0, 1], unit: 3}}", ("parameters", "r", "unit"), "not a unit"),
        ("parameters: {r: {integer: [0, 1], step: 2}}", ("parameters", "r", "step"), "no field 'step'"),
        ("parameters: {r: {unit: m}}", ("parameters", "r"), "exactly one of"),
        ("parameters: {r: {real: [0, 1], integer: [0, 1]}}", ("parameters", "r"), "exactly one of"),
        ("parameters: {r: 3}", ("parameters", "r"), "not a mapping"),
        ("parameters: {true: {real: [0, 1]}}", ("parameters",), "quotes"),
        ("parameters: {c: {categorical: a}}", ("parameters", "c", "categorical"), "not a list"),
        ("parameters: {c: {categorical: [a, a]}}", ("parameters", "c", "categorical", 1), "twice"),
        ("parameters: {x: {real: [0, 1]}}\nconstraints: ['x < 1']", ("constraints", 0), "Write '<='"),
        (
            "parameters: {x: {real: [0, 1]}}\nconstraints: ['x <= 1', 'z <= 1']",
            ("constraints", 1),
            "'z' is no parameter",
        ),
        ("parameters: {x: {real: [0, 1]}}\nconstraints: [{op: '<='}]", ("constraints", 0, "coefficients"), "missing"),
        ("parameters: {x: {real: [0, 1]}}\nconstraints: 3", ("constraints",), "not a list"),
        ("molecules: {heavy_atoms: 9..2}", ("molecules", "heavy_atoms"), "no range"),
        ("molecules: {elements: [C, Q]}", ("molecules", "elements", 1), "no element"),
        ("molecules: {atoms: 3}", ("molecules", "atoms"), "no field"),
        ("molecules: {alerts: 3}", ("molecules", "alerts"), "true or false"),
        ("library: {smiles: smiles}", ("library", "file"), "missing"),
        ("library: {file: pool.docx}", ("library", "file"), "format"),
        ("molecules: {}\nparameters: {}", (), "exactly one"),
        ("molecule: {}", ("molecule",), "Did you mean 'molecules'"),
        ("{}", (), "exactly one"),
        ("molecules: {}\nconstraints: []", ("constraints",), "belong to parameters"),
    ],
)
def test_an_error_names_the_field_and_the_mend(text, field, said):
    with pytest.raises(SpaceError, match=said) as caught:
        space_from_dict(yaml.safe_load(text))
    assert caught.value.field == field


def test_an_error_reads_as_a_path():
    with pytest.raises(SpaceError) as caught:
        space_from_dict({"parameters": {"x": {"real": [0, 1]}}, "constraints": ["x < 1"]})
    assert str(caught.value.under("space")).startswith("space.constraints[0]: ")


names = st.text(min_size=1, max_size=8).filter(lambda name: name == name.strip() and name != "constraints")


def real(low: float, width: float, log: bool, unit: str) -> Real:
    low = abs(low) + 1e-3 if log else low
    return Real(low, low + width, log, unit)


reals = st.builds(
    real,
    st.floats(-1e6, 1e6), st.floats(1e-2, 1e6), st.booleans(), st.sampled_from(["", "eV", "angstrom"]),
)  # fmt: skip
integers = st.builds(lambda low, width: Integer(low, low + width), st.integers(-100, 100), st.integers(1, 100))
choices = st.lists(st.text(max_size=5), min_size=2, max_size=5, unique=True)
categoricals = choices.map(lambda listed: Categorical(*listed))
ordinals = choices.map(lambda listed: Ordinal(*listed))
parameters = st.dictionaries(names, st.one_of(reals, integers, categoricals, ordinals), min_size=1, max_size=4)


@given(parameters)
def test_every_space_survives_json(declared):
    space = Parameters(declared)
    again = space_from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)


@given(
    st.sets(st.sampled_from(["C", "N", "O", "F", "S", "Cl", "P"]), min_size=1),
    st.integers(1, 20), st.integers(0, 20), st.none() | st.integers(3, 9), st.booleans(), st.booleans(),
)  # fmt: skip
def test_every_molecule_space_survives_json(elements, low, width, ring, alerts, stereo):
    space = Molecules(sorted(elements), (low, low + width), ring, ["[N+]"], alerts, stereo)
    assert space_from_dict(json.loads(json.dumps(space.to_dict()))) == space
