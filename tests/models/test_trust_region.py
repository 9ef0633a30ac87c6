"""The trust region: it follows from the labels alone, and keeps its candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.models import registry
from theoros.models.checks import check_proposer
from theoros.models.contract import ProposalRequest
from theoros.models.encoders import ParameterEncoder
from theoros.models.labelled import labelled_best_first
from theoros.models.proposers.trust_region import FIRST, LEAST, MOST, SUCCESSES, TrustRegion, replay
from theoros.models.surrogates.gaussian_process import GaussianProcess
from theoros.oracles.spaces import Categorical, Integer, Parameters, Real


def test_it_doubles_after_successes_and_halves_after_failures():
    design = [0.0] * 5
    rising = np.array([*design, *range(1, SUCCESSES + 1)], dtype=float)
    assert replay(rising, 5, 4).length == 2 * FIRST
    assert replay(np.array([*design, *[-1.0] * 4]), 5, 4).length == FIRST / 2
    assert (
        replay(np.array([*design, -1, -1, -1, 9.0, -1, -1, -1]), 5, 4).length == FIRST
    )  # a success starts the count anew


def test_its_centre_is_the_best_label():
    region = replay(np.array([0.0, 3.0, 1.0, 2.0, np.nan]), 2, 4)
    assert region.centre == 1


def test_one_that_became_too_small_begins_anew_and_forgets():
    halvings = int(np.ceil(np.log2(FIRST / LEAST)))
    values = np.concatenate([np.zeros(5), -np.ones(4 * (halvings + 1))])
    long = replay(values, 5, 4)
    assert long.since > 0
    assert long.length == FIRST
    after = replay(np.append(values[: long.since], [-7.0]), 5, 4)
    assert after.centre == long.since


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=80), st.integers(1, 10))
def test_whatever_the_labels_say_it_is_a_box_about_one_of_them(values, tolerance):
    region = replay(np.array(values), 5, tolerance)
    assert LEAST <= region.length <= MOST
    assert region.centre is None or region.since <= region.centre < len(values)


@pytest.fixture
def high():
    switches = {f"s{i}": Categorical("on", "off") for i in range(2)}
    return Parameters(**{f"x{i}": Real(0, 1) for i in range(16)}, n=Integer(1, 5), **switches)


@pytest.fixture
def request_in(make_problem, label):
    def make(space):
        problem = make_problem(space, maximize=False)
        rng = np.random.default_rng(1)
        dataset = label(problem, space.sample(30, rng), lambda d: (d["x0"] - 0.3) ** 2 + abs(d["x1"] - 0.6))
        model = GaussianProcess().fit(problem, dataset, seed=0)
        acquisition = registry.acquisition("log_ei")
        return ProposalRequest(
            problem,
            8,
            5,
            frozenset(p.candidate.hash for p in dataset.points),
            labelled=labelled_best_first(problem, dataset),
            model=model,
            acquisition=acquisition,
            score=acquisition.scorer(problem, model, dataset, [], seed=0),
            dataset=dataset,
        )

    return make


def test_it_keeps_the_contract(high, request_in):
    request = request_in(high)
    assert check_proposer(TrustRegion(raw=300), request.problem, request) == []


def test_candidates_lie_in_the_box_about_the_best_label(request_in):
    space = Parameters(**{f"x{i}": Real(0, 1) for i in range(18)})
    request = request_in(space)
    encoder = ParameterEncoder.of(space)
    centre = encoder.encode(request.labelled[:1]).numpy()[0]
    found = encoder.encode(TrustRegion(raw=300).propose(request)).numpy()
    scales = request.model.hyperparameters()["y"]["length_scales"]
    logs = np.log(np.clip([scales[name] for name in space.parameters], 1e-3, 1e3))
    half = 0.5 * FIRST * np.exp(np.clip(logs - logs.mean(), -3, 3))
    assert (np.abs(found - centre) <= half + 1e-9).all()


def test_a_restarted_region_is_a_design(request_in, monkeypatch):
    from theoros.models.proposers import trust_region

    request = request_in(Parameters(**{f"x{i}": Real(0, 1) for i in range(16)}))
    monkeypatch.setattr(trust_region, "replay", lambda *args, **kwargs: trust_region.Region(FIRST, None, 30))
    assert len(TrustRegion().propose(request)) == 8
