"""A coarsening foam keeps its gas and von Neumann's law through T1s and T2s."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.physics.foam import (
    K0,
    T1,
    T2,
    advance,
    coarsen,
    coarsen_to,
    equilibrate,
    honeycomb,
    rates,
    voronoi,
)
from theoros.oracles.physics.foam import coarsening as module
from theoros.oracles.physics.foam.coarsening import evolve
from theoros.oracles.physics.foam.equilibrium import relax
from theoros.oracles.physics.foam.measures import angle_error, law_error, side_variance
from theoros.oracles.physics.foam.network import measured_areas


@pytest.fixture(scope="module")
def history():
    """All states of a foam of 48 bubbles until 12 are left, and all events."""
    state, states, events = relax(equilibrate(voronoi(48, 0.6, 1))), [], []
    while state.foam.bubbles > 12:
        state, new = evolve(state, np.inf)
        states.append(state.foam)
        events.extend(new)
    return states, events


def test_a_bubble_of_n_sides_grows_at_pi_over_3_times_n_less_6(history):
    states, _ = history
    assert max(law_error(foam) for foam in states) < 1e-7
    assert max(np.abs(rates(foam) - np.pi / 3 * (foam.sides - 6)).max() for foam in states) < 1e-7


def test_gas_is_kept(history):
    states, _ = history
    for foam in states:
        assert foam.areas.sum() == pytest.approx(1, abs=1e-12)
        measured = measured_areas(foam.topology, foam.vertices, foam.half_angles)
        assert measured.sum() == pytest.approx(1, abs=1e-12)
        assert measured == pytest.approx(foam.areas, abs=1e-9 / foam.bubbles)
        assert rates(foam).sum() == pytest.approx(0, abs=1e-9)


def test_plateau_and_euler_hold_in_every_state(history):
    states, _ = history
    assert max(angle_error(foam) for foam in states) < 1e-5
    for foam in states:
        assert (foam.sides - 6).sum() == 0
        assert len(foam.vertices) == 2 * foam.bubbles
        assert len(foam.edges) == 3 * foam.bubbles


def test_bubbles_vanish_one_by_one_and_none_is_born(history):
    states, events = history
    gone = [event.bubble for event in events if isinstance(event, T2)]
    assert len(set(gone)) == len(gone) == 36
    assert set(states[-1].ids) == set(range(48)) - set(gone)
    assert sum(isinstance(event, T1) for event in events) > 20
    assert all(a.time <= b.time for a, b in itertools.pairwise(events))
    assert states[-1].mean_area == 1 / 12


def test_an_aged_foam_has_bubbles_of_many_sides(history):
    states, _ = history
    assert side_variance(states[-1]) > 0.5


def test_a_bubble_of_three_sides_lives_for_its_area_over_3_k0():
    foam = equilibrate(voronoi(60, 1.0, 4))
    assert foam.sides[3] == 3
    area = foam.areas[3]
    life = area / (3 * K0)
    half, _ = advance(foam, life / 2)
    assert half.areas[3] == pytest.approx(area / 2, rel=1e-6)
    state = relax(half)
    while 3 in state.foam.ids:
        state, _ = evolve(state, np.inf)
    # It is taken away with less than one per cent of the mean area.
    assert life - 0.01 / 60 / (3 * K0) - 1e-9 <= state.foam.time <= life


def test_a_honeycomb_never_changes():
    foam = equilibrate(honeycomb(4, 4))
    after, events = advance(foam, 5 * foam.mean_area / K0)
    assert not events
    assert after.areas == pytest.approx(1 / 16, abs=1e-9)
    assert after.vertices == pytest.approx(foam.vertices, abs=1e-7)


def test_the_area_weighted_mean_area_grows_with_the_area_weighted_sides():
    """d/dt (sum A^2 / sum A) = 2 K0 (<<n>>_A - 6), between topological changes."""
    foam = equilibrate(voronoi(60, 0.6, 3))
    span = 0.01 * foam.mean_area / K0
    for _ in range(5):
        before, (foam, events) = foam, advance(foam, span)
        assert not events
        grown = (foam.areas**2).sum() - (before.areas**2).sum()
        weighted = ((foam.sides - 6) * (foam.areas + before.areas) / 2).sum()
        assert grown / span == pytest.approx(2 * K0 * weighted, rel=1e-6)


def test_frames_do_not_depend_on_how_time_is_cut():
    foam = equilibrate(voronoi(40, 0.5, 2))
    span = 0.05 * foam.mean_area / K0
    whole, _ = advance(foam, 4 * span)
    stepwise = coarsen(foam, span)
    parts = [next(stepwise) for _ in range(4)][-1].foam
    assert parts.time == pytest.approx(whole.time, rel=1e-12)
    assert parts.ids.tolist() == whole.ids.tolist()
    assert parts.areas == pytest.approx(whole.areas, abs=1e-3 / 40)


def test_a_foam_out_of_equilibrium_is_brought_there_before_it_coarsens():
    """Voronoi cells know no pressures, and without them no gas would flow."""
    raw = voronoi(40, 0.5, 2)
    span = 0.05 * raw.mean_area / K0
    found, expected = advance(raw, span), advance(equilibrate(raw), span)
    assert found[0].areas == pytest.approx(expected[0].areas, abs=1e-9)
    assert np.abs(found[0].areas - raw.areas).max() > 0.01 * raw.mean_area


@pytest.mark.parametrize("time", [0.0, -1.0, np.nan, np.inf])
def test_only_a_positive_time_can_pass(time):
    with pytest.raises(ValueError, match=r"^a foam coarsens for a positive, finite time, and not for "):
        advance(honeycomb(4, 4), time)


@pytest.mark.parametrize("foam", [honeycomb(4, 4), voronoi(12, 0.0, 2)])
def test_a_foam_of_six_sided_bubbles_is_not_coarsened_by_rounding(foam):
    with pytest.raises(
        InvalidCandidate, match=rf"^the foam never coarsens: each of its {foam.bubbles} bubbles has six sides\.$"
    ):
        coarsen_to(foam, 9)


def test_the_same_foam_coarsens_the_same_way_twice():
    foam = equilibrate(voronoi(40, 0.5, 2))
    first, again = (advance(foam, 0.2 * foam.mean_area / K0) for _ in range(2))
    assert (first[0].vertices == again[0].vertices).all()
    assert first[1] == again[1]


@pytest.mark.parametrize(("bubbles", "disorder", "seed"), [(48, 1.5, 0), (48, 0.0, 1), (64, 1.0, 2)])
def test_foams_of_any_disorder_come_down_to_a_quarter(bubbles, disorder, seed):
    frame = coarsen_to(equilibrate(voronoi(bubbles, disorder, seed)), bubbles // 4)
    assert frame.foam.bubbles <= bubbles // 4
    assert law_error(frame.foam) < 1e-7


def test_frames_end_before_a_bubble_could_reach_round_the_box():
    foam = equilibrate(voronoi(16, 0.5, 0))
    frames = list(coarsen(foam, 0.1 * foam.mean_area / K0))
    assert frames[-1].foam.bubbles >= 8
    with pytest.raises(ValueError, match=r"^7 bubbles: fewer than 8 may touch themselves round the box\.$"):
        coarsen_to(foam, 7)


def test_a_step_without_equilibrium_is_taken_back_and_halved(monkeypatch):
    foam = equilibrate(voronoi(30, 0.5, 2))
    steps, honest = [], module.relax

    def reluctant(trial, *limit):
        steps.append(trial.time - foam.time)
        if len(steps) < 3:
            raise NotConverged("not yet")
        return honest(trial, *limit)

    monkeypatch.setattr(module, "relax", reluctant)
    state, _ = evolve(relax(foam), 0.01 * foam.mean_area / K0)
    assert steps[1:] == pytest.approx([steps[0] / 2, steps[0] / 4])
    assert state.foam.time == pytest.approx(steps[2])
    assert law_error(state.foam) < 1e-7
