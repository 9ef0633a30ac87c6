"""Arrays that a model made are kept beside its version: in the artifact store, named by the database."""

from __future__ import annotations

import numpy as np
import pytest

from theoros.db import Store
from theoros.db.errors import DuplicateModelVersion, StoreReadOnly
from theoros.db.outputs import HeldArray, StoredArray
from theoros.db.overview import last_model
from theoros.db.records import ModelVersionRecord
from theoros.db.transfer import migrate_database

FILMS = np.arange(600.0).reshape(200, 3)


def version(number: int = 1, array: np.ndarray = FILMS) -> ModelVersionRecord:
    told = {"drawn": {"labels": [3]}}
    return ModelVersionRecord(number, "twin", 2, 0, 0.1, hyperparameters=told, arrays={"films": HeldArray(array)})


def test_an_array_comes_back_with_its_version(store, campaign):
    store.add_model_version(campaign, version())
    (read,) = store.model_versions(campaign)
    assert read.hyperparameters == version().hyperparameters
    films = read.arrays["films"]
    assert isinstance(films, StoredArray)
    assert films.shape == (200, 3)
    assert np.array_equal(films.read(), FILMS)
    assert last_model(store, campaign).arrays == read.arrays


def test_the_same_array_is_named_once(store, campaign):
    store.add_model_version(campaign, version())
    store.add_model_version(campaign, version(2))
    assert len(store.query("SELECT digest FROM artifacts")) == 1
    first, second = store.model_versions(campaign)
    assert first.arrays == second.arrays


def test_a_version_without_arrays_has_none(store, campaign):
    store.add_model_version(campaign, ModelVersionRecord(1, "gp", 2, 0, 0.1, hyperparameters={"noise": 1.0}))
    (read,) = store.model_versions(campaign)
    assert (dict(read.arrays), read.hyperparameters) == ({}, {"noise": 1.0})


def test_a_version_that_is_refused_names_nothing(store, campaign):
    store.add_model_version(campaign, version())
    with pytest.raises(DuplicateModelVersion):
        store.add_model_version(campaign, version(1, FILMS + 1))
    assert len(store.query("SELECT digest FROM artifacts")) == 1


def test_nothing_is_put_through_a_store_that_only_reads(store, campaign, url, tmp_path):
    with Store(url, read_only=True, artifacts=tmp_path / "elsewhere") as reading, pytest.raises(StoreReadOnly):
        reading.add_model_version(campaign, version())
    assert not (tmp_path / "elsewhere").exists()


def test_arrays_travel_with_their_database(tmp_path):
    with Store(tmp_path / "here.db") as store:
        store.create_campaign("foam", goal="learn", spec={}, seed=1)
        store.add_model_version("foam", version())
    report = migrate_database(tmp_path / "here.db", tmp_path / "there.db")
    assert (report.artifacts, report.missing) == (1, ())
    with Store(tmp_path / "there.db") as store:
        films = store.model_versions("foam")[0].arrays["films"]
        assert "there" in films.url
        assert np.array_equal(films.read(), FILMS)
