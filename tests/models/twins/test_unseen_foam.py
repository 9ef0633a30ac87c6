"""What is kept of a foam's window that its twin rolled out."""

import numpy as np
import pytest

from theoros.models.data import Point
from theoros.models.twins.foam import FittedFoamTwin
from theoros.models.twins.foam_frames import Generator
from theoros.models.twins.foam_scores import LAWS, Rollout, violations
from theoros.models.twins.unseen_behaviour import RollsOut, behaviour
from theoros.models.twins.unseen_foam import window_rolled_out
from theoros.oracles.candidate import Candidate
from theoros.oracles.physics.foam import advance, equilibrate, voronoi
from theoros.oracles.physics.foam.films import foams_of


@pytest.fixture(scope="module")
def exact() -> Rollout:
    first = equilibrate(voronoi(16, 0.3, 1))
    second, events = advance(first, 0.002)
    return Rollout((first, second), (tuple(events),))


def test_exact_frames_keep_their_films_their_gas_and_the_laws(exact):
    kept = window_rolled_out(exact, violations(exact))
    for frame, read in zip(exact.frames, foams_of(kept.arrays["films"]), strict=True):
        assert np.array_equal(frame.vertices, read.vertices)
        assert np.array_equal(frame.areas, read.areas)
    assert kept.conserved["gas"] == pytest.approx(kept.conserved["gas"][0])
    assert set(kept.violations) == set(LAWS)
    assert kept.violations["angles"] < 1e-3
    assert kept.violations["enclosed"] < 1e-6


def test_a_window_of_one_frame_is_kept_too(exact):
    kept = window_rolled_out(Rollout(exact.frames[:1], ()), {})
    assert len(kept.conserved["gas"]) == 1


def test_an_untrained_twin_keeps_gas_in_its_roll_out():
    twin = FittedFoamTwin(
        name="foam_twin",
        n_labels=0,
        outputs=("growth_rate",),
        generators=(Generator(), Generator()),
        terms=(),
        frames=3,
        interval=0.05,
        seed=1,
    )
    assert isinstance(twin, RollsOut)
    point = Point(Candidate("parameters", {"bubbles": 16, "disorder": 0.3, "age": 0.0, "seed": 1}), "exact")
    scores, arrays = behaviour(twin, ("growth_rate",), [point], seed=3)
    told = {score.metric: score.value for score in scores}
    assert told["drift_gas"] < 1e-12
    assert {f"violation_{law}" for law in LAWS} <= set(told)
    assert len(foams_of(arrays["films"])) == 3
    again, same = behaviour(twin, ("growth_rate",), [point], seed=3)
    assert np.array_equal(arrays["films"], same["films"])
    assert [score for score in again if score.metric != "seconds"] == [s for s in scores if s.metric != "seconds"]
