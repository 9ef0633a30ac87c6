"""The report of a campaign that learns: what was foreseen of labels, and how honest that was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from theoros.db import Store
from theoros.db.records import (
    AnswerRecord,
    CandidateRecord,
    CheckRecord,
    DecisionRecord,
    ModelVersionRecord,
    OutputValue,
    RunInfo,
    ScoreRecord,
)
from theoros.models.objective import Objective
from theoros.models.twins.unseen import DRAWN
from theoros.oracles.candidate import content_hash
from theoros.orchestrator.report.has_page import has_page
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.plots import figures
from theoros.orchestrator.report.status import status_rows
from theoros.orchestrator.report.twin import foreseen, numeric_inputs
from theoros.orchestrator.report.twin_figures import coverages, has_bins, histograms
from theoros.orchestrator.scorecard import Scorecard

CARD = Scorecard("learn", (Objective("x"), Objective("time")), ("true",), (1.0,), {"x": "mm", "time": "ns"})
N = 60


def write(store: Store, name: str = "twin", *, control_of: str | None = None, std: float = 1.0) -> None:
    """A campaign of N labels whose errors are standard normal, foreseen with the deviation `std`."""
    rng = np.random.default_rng(1)
    store.create_campaign(name, goal="learn", spec={"scorecard": CARD.to_dict()}, seed=1, control_of=control_of)
    checks = []
    for number in range(1, N + 1):
        energy, observed = float(10 ** rng.uniform(-1, 1)), rng.normal(size=2)
        data = {"energy": energy, "b": float(rng.uniform(-3, 3)), "kind": "proton", "screened": True}
        candidate = CandidateRecord(content_hash(f"{name}{number}"), "parameters", data, f"energy={energy:.3g}")
        decision = DecisionRecord(candidate, "true", f"{name} {number}", "sobol", "std", None, None, [], seconds=0.1)
        store.enqueue(name, [decision], required_outputs=["x", "time"])
        (claim,) = store.claim(name, worker="w", limit=1)
        outputs = {"x": OutputValue(np.array(observed[0]), "mm"), "time": OutputValue(np.array(observed[1]), "ns")}
        run = RunInfo(wall_seconds=1.0, cpu_seconds=1.0)
        store.complete(claim.token, AnswerRecord("oracle", "1", outputs, 1.0, run))
        checks += [(number, "x", 0.0, std, observed[0]), (number, "time", 0.0, std, observed[1])]
    labels = {label.sequence: label.label_id for label in store.label_records(name)}
    records = [CheckRecord(labels[number], *more) for number, *more in checks]
    scores = [ScoreRecord(output, "rmse", 1.0, N) for output in ("x", "time")]
    scores += [ScoreRecord(output, "coverage_90", 0.9, N) for output in ("x", "time")]
    store.add_model_version(name, ModelVersionRecord(1, "cvae", N, 0, 0.5, False, "", {}, scores, records))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An honest campaign, its control, one that is too sure of itself, and one without labels."""
    with Store(tmp_path_factory.mktemp("learning") / "t.db") as opened:
        write(opened)
        write(opened, "twin.random", control_of="twin")
        write(opened, "sure", std=0.3)
        opened.create_campaign("new", goal="learn", spec={"scorecard": CARD.to_dict()}, seed=1)
        yield opened


def test_what_was_foreseen_is_read_with_the_places_where_it_was_asked(store):
    x, time = foreseen(store, "twin", ["x", "time"])
    assert (x.output, time.output, len(x.pit)) == ("x", "time", N)
    assert set(x.inputs) == {"energy", "b"}
    observed = [float(label.values["x"]) for label in store.label_records("twin")]
    assert np.allclose(x.pit, norm.cdf(observed))
    assert foreseen(store, "twin", ["y"]) == []


def test_a_twins_draws_take_the_place_of_the_normal_distribution(store):
    write(store, "drawn")
    told = {"labels": [1, 2], "outputs": ["x"], "crps": [[0.25, None]], "pit": [[0.125, None]], "energy_score": [1, 1]}
    store.add_model_version("drawn", ModelVersionRecord(2, "cvae", N, 0, 0.5, False, "", {DRAWN: told}))
    x, time = foreseen(store, "drawn", ["x", "time"])
    assert (x.pit[0], x.crps[0]) == (0.125, 0.25)
    observed = float(store.label_records("drawn")[1].values["x"])
    assert x.pit[1] == pytest.approx(norm.cdf(observed)), "what was not drawn is the normal distribution's"
    assert len(time.pit) == N


def test_the_table_tells_who_is_too_sure(store):
    honest, sure = (foreseen(store, name, ["x"])[0].row() for name in ("twin", "sure"))
    assert honest[:2] == sure[:2] == ["x", str(N)]
    assert float(honest[5].strip("%")) > 80 > float(sure[5].strip("%"))
    assert float(honest[-1]) > 0.01 > float(sure[-1])


def test_only_what_is_a_number_everywhere_and_varies_is_an_input():
    data = [{"a": 1, "b": 2.5, "c": "k", "d": True, "e": 1.0}, {"a": 2, "b": 1.5, "c": "l", "d": False, "e": 1.0}]
    assert {name: values.tolist() for name, values in numeric_inputs(data).items()} == {"a": [1, 2], "b": [2.5, 1.5]}
    assert numeric_inputs([{"a": 1.0}, {"b": 1.0}]) == {}


def test_figures_have_a_panel_for_each_output_and_input(store):
    found = foreseen(store, "twin", ["x", "time"])
    assert has_bins(found)
    assert [axes.get_xlabel() for axes in histograms(found).axes] == ["PIT of x", "PIT of time"]
    panels = coverages(found).axes
    assert [axes.get_xlabel() for axes in panels] == ["energy", "b"] * 2
    assert panels[0].get_xscale() == "log"
    assert panels[0].get_xlim() == (found[0].inputs["energy"].min(), found[0].inputs["energy"].max())
    assert panels[1].get_xscale() == "linear"
    assert not has_bins([])


def test_coverage_is_shown_over_the_inputs_that_vary_for_every_output(store):
    """Labels that lack an output may be those where an input was another one."""
    x, time = foreseen(store, "twin", ["x", "time"])
    fewer = replace(time, inputs={"b": time.inputs["b"]})
    assert [axes.get_xlabel() for axes in coverages([x, fewer]).axes] == ["b"] * 2
    assert not has_bins([x, replace(time, inputs={})])


def test_the_page_of_a_campaign_over_parameters_that_learns(store):
    assert has_page(store, "twin")
    written = page(store, "twin")
    assert "<h2>What was foreseen of labels</h2>" in written
    assert "<th>output</th>" in written
    assert "The best" not in written
    assert "Chemical space" not in written
    assert "the curves are alike only in their trend" in written
    assert "learn x (mm), time (ns)" in written
    assert 'src="http' not in written


def test_the_error_over_labels_stands_beside_the_controls(store):
    drawn = dict(figures(store, "twin"))
    (axes,) = drawn["progress"].axes
    assert axes.get_legend_handles_labels()[1] == ["twin", "twin.random"]
    assert axes.get_ylabel() == "error of x, time (share of their spread)"
    assert len(drawn["predictions"].axes) == 2
    assert "front" not in drawn


def test_the_status_names_all_that_is_learned(store):
    assert {row["goal"] for row in status_rows(store)} == {"learn x (mm), time (ns)"}


def test_before_the_first_label_there_is_no_page(store):
    assert not has_page(store, "new")
