"""Columns of a table that stand for molecules: a surrogate knows which of them are alike."""

import csv

import numpy as np
import pytest

from theoros.models.data import Point
from theoros.models.encoders import encoder_for
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Library
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.parse import space_from_dict

ALCOHOLS = ["CO", "CCO", "CCCO", "CCCCO", "CC(C)O", "CC(C)CO"]
ARENES = ["c1ccccc1", "Cc1ccccc1", "CCc1ccccc1", "Cc1ccc(C)cc1", "CCCc1ccccc1", "Clc1ccccc1"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "solvents.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["solvent", "base", "temperature", "yield"])
        for solvent in ALCOHOLS + ARENES:
            for base in ("K2CO3", "KOH"):
                for temperature in (60, 80):
                    writer.writerow([solvent, base, temperature, 0.0])
    return path


def test_a_solvent_is_a_place_and_a_base_an_index(file):
    space = Library(str(file), exclude=("yield",), molecules=("solvent",))
    encoder = encoder_for(space)
    (batch,) = space.iterate()
    features = encoder.encode(batch)
    assert features.shape == (48, encoder.dimension)
    bases = [i for i, column in enumerate(encoder.columns) if column.name == "base"]
    assert encoder.categorical == tuple(bases)
    places = features[:, [i for i, column in enumerate(encoder.columns) if column.name == "solvent"]]
    assert len({tuple(row.tolist()) for row in places}) == 12
    assert space_from_dict(space.to_dict()).to_dict() == space.to_dict()


def test_what_is_learned_of_some_alcohols_holds_for_others(file, make_problem, label):
    """Labels of two thirds of the solvents; the others are predicted, with and without knowing what they are."""

    def found(data):
        return 50.0 * (data["solvent"] in ALCOHOLS) + 0.1 * data["temperature"]

    errors = {}
    for molecules in ((), ("solvent",)):
        space = Library(str(file), exclude=("yield",), molecules=molecules)
        (batch,) = space.iterate()
        known = [c for c in batch if c.data["solvent"] not in ("CC(C)O", "CCCCO", "CCc1ccccc1", "Cc1ccc(C)cc1")]
        new = [c for c in batch if c not in known]
        problem = make_problem(space)
        model = GaussianProcess().fit(problem, label(problem, known, found), seed=0)
        mean = model.predict([Point(c, problem.target) for c in new]).mean[:, 0]
        errors[molecules] = float(np.abs(mean - [found(c.data) for c in new]).mean())
    assert errors[("solvent",)] < 0.3 * errors[()]


@pytest.mark.parametrize(("molecules", "said"), [(("temperature",), "no column of text"), (("base",), "K2CO3")])
def test_a_column_that_holds_no_molecules_is_refused(file, molecules, said):
    with pytest.raises(SpaceError, match=said):
        _ = Library(str(file), exclude=("yield",), molecules=molecules).molecule_columns
