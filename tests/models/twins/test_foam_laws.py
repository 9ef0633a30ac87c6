"""Laws of the user's own that a foam's twin is taught: what they see, how they count, and what is said of mistakes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from theoros.models.options import OptionError
from theoros.models.registry import check_options, surrogate
from theoros.models.twins.foam_frames import Generator, next_frames
from theoros.models.twins.foam_laws import seen_by_laws, violated
from theoros.models.twins.foam_scores import Rollout, violations
from theoros.models.twins.foam_training import Schedule, Weights, Window, train_generator
from theoros.models.twins.physics import residual
from theoros.oracles.physics.foam import K0, T1, advance, coarsen_to, equilibrate, voronoi


@residual("growth_by_sides", weight=2.0)
def growth_by_sides(situation):
    return situation.outcomes["growth"] - (situation.conditions["sides"] - 6)


@residual("enclosed_gas", balanced=True)
def enclosed_gas(situation):
    return situation.outcomes["enclosed"] - situation.conditions["gas"]


@residual("angles")
def angles(situation):
    return situation.outcomes["pressure"]


@residual("colour")
def colour(situation):
    return situation.outcomes["colour"]


@residual("of_pressures")
def of_pressures(situation):
    """A mistake: pressures are known up to a constant, so that half of them have no logarithm."""
    return situation.outcomes["pressure"].log()


@pytest.fixture(scope="module")
def window() -> Rollout:
    foam = coarsen_to(equilibrate(voronoi(24, 0.4, 2)), 22).foam
    frames, events = [foam], []
    for _ in range(3):
        foam, happened = advance(foam, 0.05 * frames[0].mean_area / K0)
        frames.append(foam)
        events.append(tuple(happened))
    return Rollout(tuple(frames), tuple(events))


def test_the_simulator_keeps_von_neumanns_law_and_encloses_its_gas(window):
    broken = violated([growth_by_sides, enclosed_gas], window)
    assert broken["growth_by_sides"] < 1e-4
    assert broken["enclosed_gas"] < 1e-6


def test_a_law_of_the_users_is_measured_as_the_twins_own_is(window):
    first = window.frames[0]
    still = Rollout((first, replace(first, time=first.time + 0.01)), ((),))  # no bubble grows: each is off by n - 6
    broken = violated([growth_by_sides], still)["growth_by_sides"]
    assert broken == pytest.approx(np.sqrt(np.mean((first.sides - 6.0) ** 2)))
    assert broken == pytest.approx(violations(still)["von_neumann"])
    assert violated([growth_by_sides], Rollout((first,), ())) == {"growth_by_sides": 0.0}


def test_a_frame_in_which_events_touched_every_bubble_tells_nothing_of_a_law(window):
    before, after = window.frames[:2]
    names = before.ids.tolist()
    everywhere = tuple(T1(0.0, (a, b), (a, b)) for a, b in pairwise(names))
    shaken = Rollout((before, after), (everywhere,))
    assert violated([growth_by_sides], shaken) == {"growth_by_sides": 0.0}
    beside = Rollout((before, after, window.frames[2]), (everywhere, window.events[1]))
    assert violated([growth_by_sides], beside) == violated(
        [growth_by_sides], Rollout(window.frames[1:3], window.events[1:2])
    )


def test_laws_see_the_bubbles_of_all_foams_that_no_event_has_touched(window):
    torch.manual_seed(0)
    before = [window.frames[0], window.frames[1]]
    made = next_frames(Generator(), before, [0.004, 0.004], torch.Generator().manual_seed(1), least_rounds=1)
    situation = seen_by_laws(made, before)
    disturbed = sum(len(events) for events in made.events)
    n = sum(foam.bubbles for foam in before)
    assert situation.outcomes["growth"].shape == situation.outcomes["pressure"].shape
    assert len(situation.conditions["sides"]) == n if disturbed == 0 else len(situation.conditions["sides"]) < n
    # The same step, read off the frames that were written, tells the same of growth.
    steps = [
        Rollout((foam, after), (events,)) for foam, after, events in zip(before, made.foams, made.events, strict=True)
    ]
    told = [violated([growth_by_sides], step)["growth_by_sides"] ** 2 for step in steps]
    own = float(growth_by_sides.violation(situation).square().mean().detach())
    assert own == pytest.approx(np.mean(told), rel=0.05)


def test_a_law_that_is_taught_holds_better_and_is_told_among_the_terms(window):
    """Without the twin's own law of growth, the user's takes its place."""
    weights = replace(Weights(), von_neumann=0.0, gas=0.0, adversarial=0.0)
    schedule, windows = Schedule(steps=40, batch=3), [Window(window.frames)]
    plain = train_generator(windows, seed=1, weights=weights, schedule=schedule)
    taught = train_generator(windows, seed=1, weights=weights, schedule=schedule, laws=[growth_by_sides, enclosed_gas])
    assert set(taught.terms) - set(plain.terms) == {"growth_by_sides", "enclosed_gas"}

    def off(trained):
        before = [window.frames[0]]
        made = next_frames(trained.generator, before, [0.004], torch.Generator().manual_seed(1))
        return float(growth_by_sides.violation(seen_by_laws(made, before)).square().mean().detach())

    assert off(taught) < 0.5 * off(plain)


def test_a_law_that_is_no_number_ends_training_rather_than_the_twin(window):
    with pytest.raises(ArithmeticError, match="weights are not finite"):
        train_generator([Window(window.frames)], seed=1, schedule=Schedule(steps=2, batch=2), laws=[of_pressures])


def test_a_campaign_file_names_laws_and_mistakes_are_said_before_any_label(make_problem, square):
    problem = make_problem(square, goal="learn")
    path = f"{__name__}:"
    twin = surrogate("foam_twin", {"residuals": [f"{path}growth_by_sides"]})
    assert [law.name for law in twin.laws] == ["growth_by_sides"]
    check_options("foam_twin", {"residuals": [f"{path}growth_by_sides", f"{path}enclosed_gas"]}, problem)
    for name, message in (
        ("angles", "The foam twin has a term 'angles' of its own."),
        ("colour", "The law 'colour' fails on made-up bubbles: KeyError: 'colour'. It may use the outcomes growth, "),
    ):
        with pytest.raises(OptionError) as caught:
            check_options("foam_twin", {"residuals": [path + name]}, problem)
        assert str(caught.value).startswith(message)
        assert caught.value.field == ("residuals", 0)
