"""A campaign with a user's own oracle learns a scalar and, beside it, a whole curve."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.twin_arrays import pictured_arrays
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict

HERE = Path(__file__).parent
SPEC: dict[str, Any] = {
    "campaign": "oscillator",
    "question": {"learn": "period", "record": ["displacement"]},
    "oracle": "oscillator:oscillator",
    "surrogate": {"cvae": {"arrays": ["displacement"], "members": 3, "steps": 100}},
    "acquisition": "distribution_distance",
    "proposers": ["sobol"],
    "initial": 16,
    "budget": {"labels": 24},
    "workers": {"slots": 1, "lookahead": 4},
    "seed": 3,
}


def resolved(**changes: Any):
    return resolve(spec_from_dict(SPEC | changes), HERE)


def test_the_plan_says_which_arrays_are_read():
    plan = resolved()
    assert plan.problem.structures == ("displacement",)
    assert plan.problem.outputs == ("period",)


@pytest.mark.parametrize(
    ("arrays", "record", "message"),
    [
        (["displacment"], ["displacement"], "has none. Did you mean 'displacement'?"),
        (["spectrum"], ["displacement"], "is not asked for it or has none. Add 'record: [spectrum]' to the question"),
        (["displacement"], [], "Add 'record: [displacement]' to the question"),
        (["period"], ["period"], "outputs that are arrays, and 'period' is one number. Name it under 'learn'"),
        (["strobe"], ["strobe"], "in 'strobe' the number of 'flashes' differs between candidates"),
    ],
)
def test_arrays_that_cannot_be_learned_are_refused_with_the_mend(arrays, record, message):
    surrogate = {"cvae": {"arrays": arrays}}
    with pytest.raises(SpecError) as caught:
        resolved(surrogate=surrogate, question={"learn": "period", "record": record})
    assert message in str(caught.value)
    assert caught.value.field == ("surrogate", "cvae", "arrays")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, local_ray):
    folder = tmp_path_factory.mktemp("oscillator")
    shutil.copy(HERE / "oscillator.py", folder)
    campaign = Campaign(SPEC, folder / "t.db", base=folder)
    assert campaign.run().finished
    yield campaign
    campaign.close()


def test_curves_reach_the_twin_through_the_database(finished):
    versions = finished.store.model_versions("oscillator")
    told = versions[-1].hyperparameters["components"]["displacement"]
    assert (told["shape"], told["labels"], versions[-1].fell_back) == ([64], versions[-1].n_labels, False)
    assert versions[-1].message == ""
    assert told["count"] >= 2
    labels = finished.store.label_records("oscillator")
    assert {label.values["displacement"].shape for label in labels} == {(64,)}
    assert "distribution_distance" in set(finished.store.decisions("oscillator")["acquisition"].dropna())
    assert np.isfinite(finished.labels()["period"]).all()


def test_arrays_that_the_twin_had_not_seen_are_scored_kept_and_shown(finished):
    version = next(one for one in reversed(finished.store.model_versions("oscillator")) if one.arrays)
    scores = {(score.output, score.metric): score.value for score in version.scores}
    assert 0 < scores["displacement", "crps"] < 0.5
    assert 0.3 < scores["displacement", "draws_coverage_90"] <= 1
    assert version.arrays["displacement"].shape == (3, 64)
    (shown,) = pictured_arrays(finished.store, "oscillator", lambda output: f"{output} (mm)")
    assert (shown.name, shown.version, shown.exact.shape) == ("displacement (mm)", version.number, (64,))
    assert "an array beside its draws" in page(finished.store, "oscillator")
