"""The foam's twin as a surrogate: it learns from arrays that are read when they are needed, and tells of windows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from theoros.db import ArtifactStore
from theoros.db.outputs import HeldArray, StoredArray
from theoros.models.acquisition.violation import Violation
from theoros.models.data import Dataset, Origin, Point, Problem
from theoros.models.feasibility import SUCCEEDS, problem_of
from theoros.models.objective import Objective
from theoros.models.options import OptionError
from theoros.models.registry import acquisition, structures_read, surrogate
from theoros.models.twins import foam_rollout
from theoros.models.twins.foam import FoamTwin, first_bubbles, start_of
from theoros.models.twins.foam_scores import LAWS, SUMMARIES, Rollout, summary, violations
from theoros.models.twins.foam_training import Weights
from theoros.oracles import Integer, Parameters, Real
from theoros.oracles.candidate import Candidate
from theoros.oracles.physics.foam import K0, T1, advance, coarsen_to, equilibrate, voronoi
from theoros.oracles.physics.foam.films import films_of, foams_of
from theoros.oracles.physics.foam.oracle import FoamOracle
from theoros.workers.memory import Labelled, Labels, News

SPACE = Parameters({"bubbles": Integer(16, 24), "disorder": Real(0.1, 0.6), "age": Real(0, 1), "seed": Integer(0, 99)})
OUTPUTS = ("growth_rate", "mean_area")
TWIN = FoamTwin(members=2, steps=3, more=1)


def window(candidate: Candidate, frames: int = 3, interval: float = 0.1) -> Rollout:
    foam = coarsen_to(equilibrate(voronoi(16, candidate.data["disorder"], candidate.data["seed"])), 16).foam
    made, events = [foam], []
    for _ in range(frames - 1):
        foam, happened = advance(foam, interval * made[0].mean_area / K0)
        made.append(foam)
        events.append(happened)
    return Rollout(tuple(made), tuple(events))


def candidate(seed: int, age: float = 0.0, disorder: float = 0.4) -> Candidate:
    return SPACE.candidate({"bubbles": 16, "disorder": disorder, "age": age, "seed": seed})


def problem(outputs: tuple[str, ...] = OUTPUTS) -> Problem:
    return Problem(
        goal="learn",
        space=SPACE,
        outputs=outputs,
        objectives=(Objective(outputs[0], "maximize"),),
        fidelities=("exact",),
        costs=(1.0,),
        structures=("films",),
    )


@pytest.fixture(scope="module")
def windows():
    return {seed: window(candidate(seed)) for seed in (1, 2)}


@pytest.fixture(scope="module")
def dataset(windows):
    points = tuple(Point(candidate(seed), "exact") for seed in windows)
    values = np.array([[summary(one)[output] for output in OUTPUTS] for one in windows.values()])
    films = tuple(HeldArray(films_of(one.frames)) for one in windows.values())
    return Dataset(points, OUTPUTS, values, structures={"films": films})


@pytest.fixture(scope="module")
def fitted(dataset):
    return TWIN.fit(problem(), dataset, seed=3)


def test_it_makes_no_difference_who_tells_what_all_foams_have_in_common(dataset, fitted):
    """Parameters of the space, or options of the oracle, which are the problem's constants."""
    space = Parameters({"seed": Integer(0, 99)})
    short = tuple(Point(space.candidate({"seed": seed}), "exact") for seed in (1, 2))
    constants = {"bubbles": 16, "disorder": 0.4, "age": 0.0}
    twin = TWIN.fit(replace(problem(), space=space, constants=constants), replace(dataset, points=short), seed=3)
    assert np.array_equal(twin.predict(short).mean, fitted.predict(dataset.points).mean)


def test_a_window_in_one_number_each(windows):
    one = windows[1]
    told = summary(one)
    assert told["mean_area"] == 1 / one.frames[-1].bubbles
    assert told["t1_events"] == sum(isinstance(e, T1) for events in one.events for e in events)
    duration = one.frames[-1].time - one.frames[0].time
    assert told["growth_rate"] == pytest.approx((1 / one.frames[-1].bubbles - 1 / 16) / (K0 * duration))
    assert told["mu2"] == pytest.approx(np.mean([np.var(frame.sides) for frame in one.frames]))


def test_the_twin_tells_of_a_window_what_the_oracle_tells():
    oracle = FoamOracle(space=SPACE, frames=4, interval=0.1, pixels=8, outputs=(*SUMMARIES, "films"))
    values = oracle.evaluate(candidate(5), "exact").values
    told = summary(Rollout(foams_of(np.asarray(values["films"])), ()))
    for name in set(SUMMARIES) - {"t1_events"}:  # films know no events
        assert told[name] == pytest.approx(values[name], abs=1e-12), name


def test_a_window_of_one_frame_has_no_growth(windows):
    one = Rollout(windows[1].frames[:1], ())
    assert summary(one)["growth_rate"] == 0
    assert violations(one) == dict.fromkeys(LAWS, 0.0)


def test_exact_windows_break_no_law_and_moved_ones_do(windows):
    exact = violations(windows[1])
    assert tuple(exact) == LAWS
    assert max(exact.values()) < 1e-4
    shaken = [
        replace(f, vertices=f.vertices + 0.01 * np.random.default_rng(0).standard_normal(f.vertices.shape))
        for f in windows[1].frames
    ]
    moved = violations(replace(windows[1], frames=tuple(shaken)))
    assert moved["angles"] > 1
    assert moved["enclosed"] > 1e-3
    assert moved["von_neumann"] == exact["von_neumann"]  # gas did not move


def test_a_law_is_broken_by_as_much_as_gas_goes_astray(windows):
    """Frames in which bubbles keep their gas are off by n - 6 each: the root of mu2, as the mean of n is 6."""
    start = windows[1].frames[0]
    still = Rollout((start, replace(start, time=start.time + 0.01)), ((),))
    assert violations(still)["von_neumann"] == pytest.approx(np.sqrt(np.mean((start.sides - 6.0) ** 2)))


def test_the_registry_knows_what_it_reads():
    assert structures_read("theoros.models.twins.foam:FoamTwin") == ("films",)
    assert structures_read("gp") == ()


def test_predictions_are_the_moments_of_samples(fitted):
    points = [Point(candidate(7), "exact"), Point(candidate(8, age=0.1), "exact")]
    draws = fitted.sample(points, 2, seed=fitted.seed)
    assert draws.shape == (2, 2, 2, 2)
    prediction = fitted.predict(points)
    np.testing.assert_allclose(prediction.mean, draws.mean((0, 1)))
    np.testing.assert_allclose(prediction.std, np.maximum(draws.mean(1).std(0, ddof=1), 1e-9))
    assert np.isfinite(prediction.noise).all()
    assert (prediction.std > 0).all()
    assert fitted.log_prob(points, np.zeros((2, 2))) is None


def test_predictions_repeat_and_do_not_depend_on_company(fitted, dataset):
    point = Point(candidate(7), "exact")
    together = fitted.predict([Point(candidate(9), "exact"), point])
    again = TWIN.fit(problem(), dataset, seed=3).predict([point])
    np.testing.assert_allclose(together.mean[1], fitted.predict([point]).mean[0])
    # Alone or in a batch, single precision rounds otherwise: events may fall into another frame.
    np.testing.assert_allclose(again.mean[0], together.mean[1], rtol=0.2)


def test_an_older_window_begins_with_fewer_bubbles(fitted):
    assert first_bubbles(candidate(1, age=1.0).data) == 8
    assert first_bubbles(candidate(1, age=0.5).data) == math.ceil(16 * 0.5**0.5)
    assert start_of(candidate(1).data).bubbles == 16
    (rollout,) = fitted.rollouts([candidate(1, age=0.1)], 0, seed=0)
    assert rollout.frames[0].bubbles <= 16
    assert len(rollout.frames) == 3


def test_training_goes_on_from_the_model_before(fitted, dataset):
    later = TWIN.fit(problem(), dataset, seed=4, previous=fitted)
    assert not later.fell_back
    assert later.members == 2
    assert set(later.hyperparameters()["loss"]) >= {"frames", "angles", "von_neumann", "enclosed", "adversarial"}


def test_a_term_of_the_loss_that_some_member_lacks_is_told_of_the_others(fitted):
    """Where events touch every bubble of a batch there is none of which a law could be told."""
    uneven = replace(fitted, terms=({"gas": 1.0, "growth": 2.0}, {"gas": 3.0}))
    assert uneven.hyperparameters()["loss"] == {"gas": 2.0, "growth": 2.0}


def test_without_films_it_says_so_and_the_model_before_stands_in(fitted, dataset):
    bare = Dataset(dataset.points, dataset.outputs, dataset.values)
    alone = TWIN.fit(problem(), bare, seed=1)
    assert alone.fell_back
    assert "no label has films" in alone.message
    assert np.isfinite(alone.predict([Point(candidate(1), "exact")]).mean).all()
    kept = TWIN.fit(problem(), bare, seed=1, previous=fitted)
    assert kept.fell_back
    assert kept.generators == fitted.generators


def test_a_space_that_does_not_say_how_a_foam_starts_is_refused(dataset):
    space = Parameters({"disorder": Real(0.1, 0.6), "age": Real(0, 1)})
    with pytest.raises(ValueError, match="the space has to say bubbles, seed"):
        TWIN.fit(replace(problem(), space=space), dataset, seed=1)


def test_an_output_that_a_rollout_does_not_tell_is_refused(dataset):
    with pytest.raises(ValueError, match="tells mean_area, mu2, t1_events, growth_rate of a window, and not 'colour'"):
        TWIN.fit(problem(("colour",)), dataset, seed=1)


@pytest.fixture(scope="module")
def with_a_failure(dataset):
    values = np.column_stack([np.vstack([dataset.values, [np.nan, np.nan]]), [1.0, 1.0, 0.0]])
    films = {"films": (*dataset.structures["films"], None)}
    points = (*dataset.points, Point(candidate(3), "exact"))
    return Dataset(points, (*OUTPUTS, SUCCEEDS), values, structures=films)


def test_a_candidate_that_failed_leaves_the_twin_its_windows(with_a_failure, monkeypatch):
    """A window succeeds where the foam outlives it: the twin tells so of its own roll-outs."""
    asked = problem_of(problem(), with_a_failure)
    twin = TWIN.fit(asked, with_a_failure, seed=3)
    assert not twin.fell_back
    assert asked.outputs == twin.outputs == (*OUTPUTS, SUCCEEDS)
    assert (twin.sample([Point(candidate(7), "exact")], 2, seed=1)[..., 2] == 1).all()
    monkeypatch.setattr(foam_rollout, "FEWEST_BUBBLES", 99)
    assert (twin.sample([Point(candidate(7), "exact")], 2, seed=2)[..., 2] == 0).all()
    score = acquisition("std").scorer(asked, twin, with_a_failure, (), seed=1)
    assert np.isfinite(score([candidate(11), candidate(12)])).all()


def test_a_twin_that_stands_in_tells_of_failures_that_came_later(fitted, with_a_failure):
    fitted.predict([Point(candidate(7), "exact")])  # which it remembers, with fewer outputs
    asked = problem_of(problem(), with_a_failure)
    kept = TWIN.fit(asked, replace(with_a_failure, structures={}), seed=1, previous=fitted)
    assert kept.generators == fitted.generators
    assert kept.predict([Point(candidate(7), "exact")]).mean.shape == (1, 3)


def test_arrays_reach_the_model_by_digest_alone(windows, tmp_path, monkeypatch):
    """The orchestrator passes on where films are; they are read in the fit, and each once."""
    store, films = ArtifactStore(tmp_path / "artifacts"), {}
    for seed, one in windows.items():
        array = films_of(one.frames)
        digest, _ = store.put_array(array)
        films[seed] = StoredArray(store.url, digest, array.shape)
    memory = Labels(OUTPUTS)
    memory.learn(
        News(
            0,
            [
                Labelled(i, Point(candidate(seed), "exact"), (1.0, 2.0), Origin("", ""), {"films": where})
                for i, (seed, where) in enumerate(films.items())
            ]
            + [Labelled(2, Point(candidate(3), "exact"), ())],
        )
    )
    data, _ = memory.dataset(None)
    assert data.structures == {"films": (*films.values(), None)}
    read = []
    original = ArtifactStore.get_array
    monkeypatch.setattr(ArtifactStore, "get_array", lambda self, digest: read.append(digest) or original(self, digest))
    for seed in (1, 2):
        assert not TWIN.fit(problem(), data, seed=seed).fell_back
    assert sorted(read) == sorted(where.digest for where in films.values())


def test_films_that_are_lost_are_missing_and_the_twin_says_so(dataset, tmp_path):
    """An artifact may be gone, or damaged: the other windows teach all the same."""
    lost = StoredArray(ArtifactStore(tmp_path / "artifacts").url, "0" * 64, (48, 17))
    films = {"films": (dataset.structures["films"][0], lost)}
    twin = TWIN.fit(problem(), replace(dataset, structures=films), seed=3)
    assert not twin.fell_back
    assert twin.message == "1 of 2 labels have films that can't be read"


def test_the_committee_says_which_window_to_simulate(fitted, dataset):
    score = acquisition("std").scorer(problem(("growth_rate",)), fitted, dataset, (), seed=1)
    candidates = [candidate(seed, disorder=disorder) for seed, disorder in ((11, 0.1), (12, 0.6))]
    values = score(candidates)
    assert values.shape == (2,)
    assert np.isfinite(values).all()


def test_windows_that_break_the_laws_can_be_asked_for(fitted, dataset, monkeypatch):
    monkeypatch.setattr(foam_rollout, "PATIENCE", 0.1)  # three steps teach no foam to grow old
    candidates = [candidate(11), candidate(12)]
    found = fitted.violations(candidates, seed=2)
    assert tuple(found) == LAWS
    for values in found.values():
        assert values.shape == (2, 2)
        assert (values > 0).all()
    score = Violation(references=2).scorer(problem(("growth_rate",)), fitted, dataset, (), seed=1)
    assert (score(candidates) > 0).all()


def test_a_file_says_how_many_members_there_are_and_how_long_they_are_trained():
    twin = surrogate("foam_twin", {"members": 5, "steps": 25})
    assert (twin.members, twin.steps, twin.more) == (5, 25, 25)
    assert twin.weights == FoamTwin().weights
    assert surrogate("foam_twin", {"steps": 400}).more == FoamTwin().more
    assert surrogate("foam_twin", {}) == FoamTwin() == surrogate("foam_twin", {"physics": True})


def test_without_physics_the_laws_are_no_terms_of_its_loss_and_are_told_all_the_same(dataset):
    twin = surrogate("foam_twin", {"members": 3, "steps": 20, "physics": False})
    assert twin.weights == Weights().without_physics()
    fitted = replace(twin, steps=2).fit(problem(), dataset, seed=3)
    assert set(fitted.hyperparameters()["loss"]) == {"frames", "gas", "adversarial"}
    assert set(fitted.violations([candidate(1)], seed=1)) == set(LAWS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arrays": []}, "The foam twin has no option 'arrays'. It has members, steps, physics, residuals."),
        ({"residuals": "a:b"}, "A twin's residuals are a list of 'module:name', not 'a:b'."),
        ({"members": 2}, "input should be greater than or equal to 3 (got 2). Or leave it out."),
        ({"steps": 19}, "input should be greater than or equal to 20 (got 19). Or leave it out."),
        ({"physics": "no"}, "input should be a valid boolean (got 'no'). Or leave it out."),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, message):
    with pytest.raises(OptionError) as caught:
        surrogate("foam_twin", options)
    assert (str(caught.value), caught.value.field) == (message, (next(iter(options)),))
