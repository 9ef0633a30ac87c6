"""A twin beside its oracle in the report: scores of wholes, events, and windows of a foam as drawings."""

from __future__ import annotations

import re

import numpy as np
import pytest

from theoros.db import Store
from theoros.db.outputs import HeldArray
from theoros.db.records import (
    AnswerRecord,
    CandidateRecord,
    DecisionRecord,
    ModelVersionRecord,
    OutputValue,
    RunInfo,
    ScoreRecord,
)
from theoros.models.objective import Objective
from theoros.models.twins.unseen import DRAWN, PICTURED, Unseen
from theoros.oracles.candidate import content_hash
from theoros.oracles.physics.foam import advance, coarsen_to, equilibrate, voronoi
from theoros.oracles.physics.foam.films import films_of
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.twin_arrays import PicturedArray, array_figure, pictured_arrays
from theoros.orchestrator.report.twin_films import SIDE, Windows, film_pictures, outline, windows
from theoros.orchestrator.report.twin_pictures import FAR, Beside, beside, events_figure
from theoros.orchestrator.report.twin_scores import oracle_of, scores_table, whole_scores
from theoros.orchestrator.scorecard import Scorecard

N = 12


@pytest.fixture(scope="module")
def frames():
    """Four exact frames of sixteen bubbles."""
    foam = coarsen_to(equilibrate(voronoi(20, 0.3, 4)), 16).foam
    made = [foam]
    for _ in range(3):
        made.append(advance(made[-1], 0.002)[0])
    return tuple(made)


def unseen(outputs, numbers, observed) -> Unseen:
    """Draws that are one too high, about a mean that is right, with the deviation 1/2; the last lacks its draw."""
    draws = observed + 1.0
    draws[-1] = np.nan
    rows = [tuple(map(tuple, own.T)) for own in (draws, observed, np.full_like(observed, 0.5))]
    same = tuple((0.5,) * len(numbers) for _ in outputs)
    return Unseen(tuple(numbers), outputs, same, same, (0.1,) * len(numbers), *rows, same)


def write(store: Store, name: str, outputs, *, films=None, made=None) -> None:
    """A campaign of N labels; the second version was drawn of all of them."""
    card = Scorecard("learn", tuple(map(Objective, outputs)), ("true",), (1.0,), dict.fromkeys(outputs, "mm"))
    store.create_campaign(name, goal="learn", spec={"scorecard": card.to_dict()}, seed=1)
    rng, observed = np.random.default_rng(2), []
    for number in range(1, N + 1):
        data, values = {"energy": float(10 ** rng.uniform(0, 2)), "kind": "proton"}, rng.normal(size=len(outputs))
        candidate = CandidateRecord(content_hash(f"{name}{number}"), "parameters", data, f"{number}")
        decision = DecisionRecord(candidate, "true", f"{name} {number}", "sobol", "std", None, None, [], seconds=0.1)
        store.enqueue(name, [decision], required_outputs=list(outputs))
        (claim,) = store.claim(name, worker="w", limit=1)
        answer = {output: OutputValue(np.array(value), "mm") for output, value in zip(outputs, values, strict=True)}
        if films is not None:
            answer["films"] = OutputValue(films, "")
        run = RunInfo(wall_seconds=1.0, cpu_seconds=1.0)
        store.complete(claim.token, AnswerRecord("cannon", "1", answer, 1.0, run))
        observed.append(values)
    drawn = unseen(outputs, range(1, N + 1), np.array(observed)).record()
    arrays = {} if made is None else {"films": HeldArray(made)}
    scores = [ScoreRecord(", ".join(outputs), *more) for more in (("energy_score", 0.2, 1), ("mmd", 0.5, 20))]
    store.add_model_version(name, ModelVersionRecord(1, "cvae", 2, 0, 0.5, scores=scores))
    scores = [
        ScoreRecord(", ".join(outputs), *more)
        for more in (
            ("energy_score", 0.5, 2),
            ("mmd", 0.25, 21),
            ("violation_mirror_image", 0.125, N),
            ("drift_gas", 1e-3, 1),
            ("drift_gas_per_step", 1e-4, 1),
            ("speedup_batched", 300.0, N),
            ("seconds_of_cannon", 4.0, N),
        )
    ]
    told = {DRAWN: drawn | ({PICTURED: 3} if arrays else {})}
    store.add_model_version(name, ModelVersionRecord(2, "cvae", N, 0, 0.5, False, "", told, scores, (), arrays))


@pytest.fixture(scope="module")
def store(tmp_path_factory, frames):
    with Store(tmp_path_factory.mktemp("twins") / "t.db") as opened:
        write(opened, "events", ("x", "y", "time"))
        write(opened, "foam", ("growth_rate",), films=films_of(frames), made=films_of(frames[:3]))
        write(opened, "unkept", ("growth_rate",), made=films_of(frames))
        yield opened


def test_scores_of_wholes_are_the_latest_and_the_energy_score_is_of_all_labels(store):
    scores = {score.metric: (score.value, score.n) for score in whole_scores(store, "events")}
    assert list(scores) == [
        "energy_score",
        "mmd",
        "violation_mirror_image",
        "drift_gas",
        "seconds_of_cannon",
        "speedup_batched",
    ]
    assert scores["mmd"] == (0.25, 21)
    assert scores["energy_score"] == (pytest.approx(0.4), 3)


def test_the_table_names_the_simulator_the_law_and_the_quantity(store):
    assert oracle_of(store, "events") == "cannon"
    told = scores_table([*whole_scores(store, "events"), ScoreRecord("x", "speedup", 2.0, 1)], "cannon")
    assert "violation of the law mirror image" in told
    assert "largest drift, as a share, of the gas" in told
    assert "wall seconds of one answer of cannon" in told
    assert "answers while cannon gives one, asked singly" in told


def test_labels_stand_beside_draws_that_were_kept(store):
    found = beside(store, "events", lambda output: f"{output} (mm)")
    assert found.names == ("x (mm)", "y (mm)", "time (mm)")
    assert found.observed.shape == (N - 1, 3), "one has no draw"
    assert np.allclose(found.draw - found.observed, 1.0)
    assert np.allclose(found.mean, found.observed)
    assert set(found.inputs) == {"energy"}
    assert beside(store, "unkept", str).observed.shape == (N - 1, 1)


def test_each_row_of_the_figure_has_oracle_twin_and_difference(store):
    figure = events_figure(beside(store, "events", lambda output: f"{output} (mm)"))
    panels = [axes for axes in figure.axes if axes.get_ylabel().endswith("(mm)")]
    assert [axes.get_title() for axes in panels[:3]] == ["oracle", "twin, one draw of each", panels[2].get_title()]
    assert [axes.get_ylabel() for axes in panels] == ["y (mm)"] * 3 + ["time (mm)"] * 3
    assert panels[0].get_xlim() == panels[1].get_xlim()
    (single, *_) = events_figure(beside(store, "foam", str)).axes
    assert (single.get_xlabel(), single.get_ylabel()) == ("energy", "growth_rate")


def test_draws_that_are_all_alike_are_far_from_every_other_label():
    """A generator that has collapsed must not look perfect."""
    ones, mean = np.ones((6, 2)), np.ones((6, 2))
    mean[1:, 0] = [0.5, 1e-3, 2.0, -1e200, 1.1]
    figure = events_figure(Beside(("x", "y"), ones, ones, mean, 0 * ones, {}))
    (apart,) = figure.axes[2].collections
    assert apart.get_array()[0] == 0
    assert (apart.get_array()[1:] > FAR).all()
    assert not np.ma.is_masked(apart.get_array())


def test_a_window_is_that_of_the_version_and_of_the_label_that_it_names(store, frames):
    found = windows(store, "foam")
    assert (found.label, found.version) == (3, 2)
    assert len(found.exact) == len(found.made) == 3, "the twin's ended earlier"
    assert np.allclose(found.exact[1].areas, frames[1].areas)
    assert windows(store, "events") is None
    assert windows(store, "unkept") is None, "the campaign did not record films"


def test_frames_of_a_twin_that_went_astray_are_left_out(frames, tmp_path):
    """Its vertices are no numbers from some frame on, and no page could draw them."""
    astray = films_of(frames)
    astray[astray[:, 0] >= 2, 4:8] = np.nan
    with Store(tmp_path / "t.db") as store:
        write(store, "late", ("growth_rate",), films=films_of(frames), made=astray)
        assert len(windows(store, "late").made) == 2
        assert "Frame 2 of 2" in page(store, "late")
        astray[:, 4:8] = np.nan
        write(store, "early", ("growth_rate",), films=films_of(frames), made=astray)
        assert windows(store, "early") is None


def test_drawn_films_end_where_they_do_and_bulge_as_they_do(frames):
    """Three films of a vertex meet at 120 degrees in the drawing too: arcs are read as SVG defines them."""
    foam = frames[0]
    arcs = re.findall(r"M(-?\d+) (-?\d+)A(\d+) \d+ 0 (\d) (\d) (-?\d+) (-?\d+)", outline(foam))
    leaving: dict[tuple[int, int], list[float]] = {}
    for x, y, radius, large, sweep, u, v in (map(int, arc) for arc in arcs):
        chord, turn = np.array([u - x, v - y]), 1 if sweep else -1
        half = np.arcsin(min(1.0, np.hypot(*chord) / (2 * radius)))
        assert not large
        for end, way, sign in (((x, y), chord, -turn), ((u, v), -chord, turn)):
            leaving.setdefault(end, []).append(np.degrees(np.arctan2(way[1], way[0]) + sign * half) % 360)
    gaps = [np.diff([*sorted(own), min(own) + 360]) for own in leaving.values() if len(own) == 3]
    assert len(gaps) > foam.bubbles
    assert np.allclose(np.median(gaps, axis=0), 120, atol=3)
    assert np.quantile(np.abs(np.array(gaps) - 120), 0.9) < 6, "coordinates are whole numbers"


def test_films_that_leave_the_box_are_drawn_on_the_other_side_too(frames):
    starts = len(re.findall("M", outline(frames[0])))
    topology = frames[0].topology
    assert starts > len(topology.edges)
    ends = np.array(re.findall(r"(?:^|M)(-?\d+) (-?\d+)", outline(frames[0])), dtype=int)
    assert ends.min() >= -SIDE
    assert ends.max() <= 2 * SIDE


def test_pictures_name_bubbles_and_share_what_they_draw(frames):
    found = Windows(3, 2, frames, frames)
    written = "".join(film_pictures(found))
    assert written.count("<path") == 2 * len(frames)
    assert written.count("<animate") == 3 * len(frames)
    assert "Frame 4 of 4: 1" in written
    assert written.count("0% of the area lies in another bubble") == 3
    apart = "".join(film_pictures(Windows(3, 2, frames[:1], frames[-1:])))
    assert "<animate" not in apart
    assert re.search(r"[1-9]\d?% of the area lies in another bubble", apart)


def test_large_foams_are_shown_by_fewer_frames(frames, monkeypatch):
    monkeypatch.setattr("theoros.orchestrator.report.twin_films.MOST_FILMS", 10)
    written = "".join(film_pictures(Windows(3, 2, frames, frames)))
    assert written.count("<path") == 2 * 3


def test_the_page_shows_a_twin_beside_its_oracle(store):
    foam, events = page(store, "foam"), page(store, "events")
    for written in (foam, events):
        assert "<h2>The twin beside its oracle</h2>" in written
        assert 'href="http' not in written
        assert len(written) < 1_000_000
    assert "The window of sample 3, simulated" in foam
    assert "mix-blend-mode" not in events


def test_a_curve_stands_beside_a_draw_of_each_member_and_an_image_beside_one():
    exact = np.linspace(0, 1, 30)
    curves = array_figure(PicturedArray("spectrum (mm)", 3, 2, exact, np.stack([exact + 0.1, exact + 0.3])))
    came, drew, apart = curves.axes
    assert [axes.get_title() for axes in curves.axes] == [
        "oracle",
        "twin, a draw of each member",
        "difference: oracle less mean draw",
    ]
    assert (len(came.lines), len(drew.lines)) == (1, 2)
    assert np.allclose(apart.lines[-1].get_ydata(), -0.2)
    assert came.get_ylim() == drew.get_ylim()
    image = exact.reshape(5, 6)
    panels = array_figure(PicturedArray("film", 3, 2, image, np.stack([image, image + 1.0]))).axes[:3]
    shown = [axes.images[0].get_array() for axes in panels]
    assert np.allclose(shown[0], image)
    assert np.allclose(shown[1], image)
    assert np.allclose(shown[2], -0.5)


def test_films_that_were_rolled_out_are_no_draws_of_members(store):
    assert pictured_arrays(store, "foam", str) == []
    assert pictured_arrays(store, "events", str) == []
    assert pictured_arrays(store, "unkept", str) == []
