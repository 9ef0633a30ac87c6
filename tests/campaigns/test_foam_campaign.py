"""The foam campaign: its file fits together, and what its oracle answers is what its twin learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from theoros.db import Store
from theoros.db.outputs import StoredArray
from theoros.models import decide
from theoros.models.data import Dataset, Point
from theoros.models.registry import acquisition
from theoros.models.twins import foam, foam_rollout
from theoros.models.twins.foam import FoamTwin
from theoros.oracles.physics.foam import K0
from theoros.oracles.physics.foam.oracle import FoamOracle
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers.memory import Labelled, Labels, News

FOLDER = Path(__file__).parents[2] / "campaigns" / "foam"


@pytest.fixture
def content():
    return yaml.safe_load((FOLDER / "campaign.yaml").read_text())


def test_the_twin_is_told_which_arrays_to_read(content):
    plan = resolve(spec_from_dict(content), FOLDER)
    assert plan.problem.structures == ("films",)
    assert plan.problem.outputs == ("growth_rate",)
    assert plan.acquisition == "std"


def test_an_oracle_that_gives_no_films_is_refused_with_the_mend(content):
    del content["question"]["record"]
    spec = spec_from_dict(content | {"oracle": {"foam": {}}})
    with pytest.raises(
        SpecError, match=r"learns from the output 'films'.*Add 'record: \[films\]' to the question"
    ) as e:
        resolve(spec, FOLDER)
    assert e.value.field == ("surrogate",)


def test_the_file_may_leave_physics_out_of_its_loss(content):
    content["surrogate"] = {"foam_twin": {"members": 3, "steps": 20, "physics": False}}
    assert resolve(spec_from_dict(content), FOLDER).models.options["physics"] is False
    content["surrogate"]["foam_twin"]["physics"] = "off"
    with pytest.raises(SpecError) as caught:
        resolve(spec_from_dict(content), FOLDER, file="campaign.yaml")
    assert str(caught.value) == (
        "campaign.yaml: surrogate.foam_twin.physics: input should be a valid boolean (got 'off'). Or leave it out."
    )


def test_what_the_oracle_fixes_for_all_foams_is_told_to_the_twin(content):
    content["space"] = {"parameters": {"age": {"real": [0, 1]}, "seed": {"integer": "0..99"}}}
    content["oracle"] = {"foam": {"bubbles": 32, "frames": 12}}
    assert resolve(spec_from_dict(content), FOLDER).problem.constants == {"bubbles": 32, "disorder": 0.5}


def test_a_space_without_them_is_refused_where_the_oracle_does_not_tell(content, monkeypatch):
    monkeypatch.setattr(FoamOracle, "constants", {})
    content["space"]["parameters"] = {"disorder": {"real": [0.1, 0.6]}, "seed": {"integer": "0..99"}}
    with pytest.raises(SpecError) as caught:
        resolve(spec_from_dict(content), FOLDER)
    assert caught.value.field == ("surrogate",)
    assert caught.value.message == (
        "The surrogate 'foam_twin' reads the parameter 'bubbles' of every candidate, which the space lacks. Declare "
        "bubbles, age in the space, or use another surrogate."
    )


def test_two_windows_teach_the_twin_to_coarsen(content):
    """From two windows a committee of two learns von Neumann's rates well enough to say how fast foams coarsen."""
    plan = resolve(spec_from_dict(content), FOLDER)
    oracle = plan.oracle.load()
    memory, truths = Labels(plan.problem.columns), []
    asked = [{"bubbles": 24, "disorder": 0.3, "age": 0.0, "seed": seed} for seed in (1, 2, 3, 4)]
    points = [Point(plan.problem.space.candidate(data), "exact") for data in asked]
    for number, point in enumerate(points):
        values = oracle.evaluate(point.candidate, "exact").values
        truths.append(values["growth_rate"])
        films = _Array(np.asarray(values["films"]))
        if number < 2:
            memory.learn(News(number, [Labelled(number, point, (values["growth_rate"],), None, {"films": films})]))
    dataset, _ = memory.dataset(None)
    assert isinstance(dataset, Dataset)
    twin = FoamTwin(members=2, steps=40).fit(plan.problem, dataset, seed=1)
    assert twin.hyperparameters()["interval"] == pytest.approx(0.05)
    assert twin.hyperparameters()["frames"] == 12
    assert twin.hyperparameters()["loss"]["von_neumann"] < 0.3 * K0**2
    prediction = twin.predict(points[2:])
    assert np.abs(prediction.mean[:, 0] - truths[2:]).max() < 0.5
    score = acquisition("std").scorer(plan.problem, twin, dataset, (), seed=1)
    assert np.isfinite(score([point.candidate for point in points[2:]])).all()


def test_films_reach_the_twin_through_the_database(content, tmp_path, monkeypatch):
    """Ask and tell: films go to the artifact store, the fit reads them there, and a decision is made by the twin."""
    monkeypatch.setattr(foam, "FoamTwin", _Small)
    monkeypatch.setattr(decide, "POOL", 2)
    monkeypatch.setattr(foam_rollout, "PATIENCE", 0.1)  # two steps teach no foam to grow old
    content["initial"] = 2
    file = tmp_path / "campaign.yaml"
    file.write_text(yaml.safe_dump(content))
    campaign = Campaign(file, tmp_path / "t.db")
    oracle = resolve(spec_from_dict(content), FOLDER).oracle.load()
    for _ in range(3):
        asked = campaign.ask()
        campaign.tell(asked, oracle.evaluate(asked.candidate, "exact").values)
    campaign.close()
    with Store(tmp_path / "t.db") as store:
        (version, *_), labels = store.model_versions("foam"), store.label_records("foam")
        assert (version.surrogate, version.n_labels, version.fell_back) == ("foam_twin", 2, False)
        assert store.predictions("foam")[labels[-1].evaluation_id]
        films = labels[0].arrays["films"]
        assert isinstance(films, StoredArray)
        assert films.read().shape == films.shape == (len(films.read()), 17)


@dataclass(frozen=True)
class _Small(FoamTwin):
    members: int = 2
    steps: int = 2
    more: int = 1


class _Array:
    def __init__(self, value):
        self.value, self.shape = value, value.shape

    def read(self):
        return self.value
