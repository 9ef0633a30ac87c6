"""The parts of a twin, each against what mathematics says of it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models.twins.beyond import Beyond
from theoros.models.twins.cgan import AdversarialShape, Critic
from theoros.models.twins.conditional_flow import SplineShape
from theoros.models.twins.cvae import LatentShape
from theoros.models.twins.flow_matching import VelocityShape
from theoros.models.twins.left_out import LeftOut
from theoros.models.twins.location_scale import LocationScale
from theoros.models.twins.networks import LENGTH, Layers, Size, Waves
from theoros.models.twins.shape import energy_score, log_normal
from theoros.models.twins.training import Table, Training, blind_to, descend
from theoros.oracles.candidate import Candidate

SMALL = Size(width=8, depth=1, waves=4)
SHAPES = [LatentShape, SplineShape, VelocityShape, AdversarialShape]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def candidates(n):
    return [Candidate("parameters", {"x": float(i)}) for i in range(n)]


def test_waves_begin_with_the_covariance_of_a_matern_process():
    at = torch.tensor([[0.0], [0.5], [1.5]]).double()
    waves = Waves(1, 1, 200_000, seeded()).double()(at[None])[0, :, 1:]
    r = math.sqrt(5) * (at[1:, 0] / LENGTH)
    covariance = waves[1:] @ waves[0] / waves.shape[1]
    assert torch.allclose(covariance, (1 + r + r**2 / 3) * torch.exp(-r), atol=0.01)


def test_members_side_by_side_answer_as_each_alone_would():
    layers, x = Layers(3, (2, 5, 4), seeded()), torch.randn(3, 7, 2, generator=seeded(1))
    for member in range(3):
        hidden = torch.nn.functional.silu(x[member] @ layers.weights[0][member] + layers.biases[0][member])
        assert torch.allclose(
            layers(x)[member], hidden @ layers.weights[1][member] + layers.biases[1][member], atol=1e-6
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_begins_as_the_standard_normal_distribution(shape):
    begun = shape(2, 1, 2, SMALL, seeded()).double()
    conditions = torch.linspace(-1, 1, 20_000).double().expand(2, -1)[..., None]
    with torch.no_grad():
        drawn = begun.sample(conditions, seeded(1))
    assert torch.allclose(drawn.mean(1), torch.zeros(2, 2).double(), atol=0.04)
    assert torch.allclose(torch.cov(drawn[0].T), torch.eye(2).double(), atol=0.05)


@pytest.mark.parametrize(("shape", "tolerance"), [(SplineShape, 1e-9), (VelocityShape, 1e-4)])
def test_its_density_is_then_the_normal_one(shape, tolerance):
    begun = shape(2, 1, 2, SMALL, seeded()).double()
    residuals = torch.randn(2, 50, 2, generator=seeded(1)).double()
    density = begun.log_prob(torch.zeros(2, 50, 1).double(), residuals, seeded())
    assert torch.allclose(density, log_normal(residuals), atol=tolerance)


def test_the_latent_bound_lies_below_the_density_and_near_it():
    begun = LatentShape(2, 1, 2, SMALL, seeded()).double()
    residuals = torch.randn(2, 400, 2, generator=seeded(1)).double()
    with torch.no_grad():
        gap = log_normal(residuals) - begun.log_prob(torch.zeros(2, 400, 1).double(), residuals, seeded())
    assert -0.01 < gap.mean().item() < 0.05


def stirred(module, by=0.3):
    """The same module with other weights, so that it is no longer what it begins as."""
    generator = seeded(5)
    for parameter in module.parameters():
        parameter.data += by * torch.randn(parameter.shape, generator=generator).to(parameter)
    return module


@pytest.mark.parametrize("shape", [SplineShape, VelocityShape, LatentShape])
def test_a_density_integrates_to_one_whatever_the_weights(shape):
    odd = stirred(shape(2, 1, 1, SMALL, seeded()).double(), by=0.15)
    grid = torch.linspace(-15, 15, 3_001).double()
    residuals, conditions = grid.expand(2, -1)[..., None], torch.full((2, 3_001, 1), 0.4).double()
    with torch.no_grad():
        mass = odd.log_prob(conditions, residuals, seeded()).exp().sum(1) * (grid[1] - grid[0])
    assert torch.allclose(mass, torch.ones(2).double(), atol=0.02)


def test_a_spline_draws_from_the_density_that_it_tells():
    """The entropy by its own draws, and by importance sampling from a wide normal distribution."""
    odd = stirred(SplineShape(1, 1, 2, SMALL, seeded()).double())
    conditions = torch.full((1, 40_000, 1), 0.4).double()
    wide = 4 * torch.randn(1, 40_000, 2, generator=seeded(2)).double()
    with torch.no_grad():
        entropy = -odd.log_prob(conditions, odd.sample(conditions, seeded(1)), seeded()).mean().item()
        density = odd.log_prob(conditions, wide, seeded())
    weights = (density - log_normal(wide / 4)).exp() * 16
    assert -(weights * density).mean().item() == pytest.approx(entropy, abs=0.1)


def test_the_critics_weights_have_a_largest_singular_value_of_one():
    critic = Critic(3, 2, 1, 16, seeded())
    for _ in range(200):  # each call is one step of the power method
        normalised = critic._normalised()
    for weight in normalised:
        assert torch.allclose(torch.linalg.matrix_norm(weight, 2), torch.ones(3), atol=1e-3)


def test_the_energy_score_of_a_normal_forecast_is_the_closed_form():
    """In one dimension it is the continuous ranked probability score: at the centre ``2 phi(0) - 1 / sqrt(pi)``."""
    draws = torch.randn(1, 200, 200, 1, generator=seeded())
    expected = 2 / math.sqrt(2 * math.pi) - 1 / math.sqrt(math.pi)
    assert energy_score(draws, torch.zeros(1, 200, 1)).mean().item() == pytest.approx(expected, abs=0.005)


@settings(max_examples=20)
@given(n=st.integers(16, 80), members=st.integers(1, 6), folds=st.integers(2, 8))
def test_what_a_member_leaves_out_depends_on_the_candidate_alone(n, members, folds):
    some = candidates(n)
    blind = blind_to(some, members, folds)
    again = blind_to([*reversed(some), *some], members, folds)
    assert blind.shape == (members, n)
    assert not blind.all(1).any()
    assert (again[:, n:] == blind).all()
    assert (again[:, :n] == blind[:, ::-1]).all()


def test_very_few_labels_are_all_seen():
    assert not blind_to(candidates(15), 8, 5).any()


def table(n=400, members=3, seed=0):
    """Outcomes of pure noise of variance one."""
    rng = np.random.default_rng(seed)
    blind = torch.from_numpy(rng.random((members, n)) < 0.25)
    outcomes = torch.from_numpy(rng.standard_normal((n, 1))).float()
    return Table(torch.from_numpy(rng.uniform(-1, 1, (n, 1))).float(), outcomes, blind)


def overconfident(members, by):
    """Members that know the mean, zero, and believe the noise to be smaller than it is."""
    model = LocationScale(members, 1, 1, SMALL, seeded())
    for parameter in model.location.parameters():
        parameter.data.zero_()
    model.log_variance.biases[-1].data.fill_(-2 * math.log(by) / 3)
    return model


def test_noise_that_is_thought_too_small_is_mended():
    known = table(4_000)
    contrast, level = overconfident(3, by=1.5).left_out(known).noise(known)
    assert contrast.item() == 0.0  # it has the same noise everywhere
    assert math.exp(0.5 * level.item()) == pytest.approx(1.0, rel=0.05)


def test_the_noise_is_read_off_labels_that_were_not_seen():
    known = table(4_000)
    unblind = Table(known.conditions, known.outcomes, torch.zeros_like(known.blind))
    assert [value.item() for value in overconfident(3, by=1.5).left_out(unblind).noise(unblind)] == [1.0, 0.0]


def left_out(n, ignorance, thought, noise, seed=0):
    """What three members say of outcomes about zero: they are as wrong as they differ, by `ignorance` (n), and have the
    log variances `thought` (n) where the outcomes' deviation is `noise` (n).
    """
    rng = np.random.default_rng(seed)
    wrong = torch.from_numpy(ignorance * rng.standard_normal(n))[:, None]
    outcomes = torch.from_numpy(noise * rng.standard_normal(n))[:, None]
    logs = torch.from_numpy(np.broadcast_to(thought, n).copy())[None, :, None].expand(3, -1, -1)
    known = Table(torch.zeros(n, 1), outcomes, torch.ones(3, n, dtype=torch.bool))
    spread = torch.from_numpy(np.broadcast_to(ignorance, n) ** 2)[:, None]
    return LeftOut(wrong, spread, logs, torch.ones(3, n, 1).double()), known


def test_ignorance_is_not_taken_for_noise():
    n = 2_000
    ignorance = 3.0 * np.random.default_rng(1).random(n) ** 2
    contrast, level = (value.item() for value in LeftOut.noise(*left_out(n, ignorance, np.log(ignorance**2 + 1), 1.0)))
    assert contrast == 0.0
    assert math.exp(0.5 * level) == pytest.approx(1.0, rel=0.05)


def test_a_contrast_that_is_there_is_kept():
    n = 2_000
    thought = np.linspace(-4.0, 4.0, n)
    contrast, level = (value.item() for value in LeftOut.noise(*left_out(n, 0.1, thought, 2 * np.exp(0.5 * thought))))
    assert contrast == 1.0
    assert level == pytest.approx(2 * math.log(2), abs=0.1)


@pytest.mark.parametrize("n", [48, 200])
def test_a_contrast_that_is_not_there_is_dropped(n):
    thought = np.random.default_rng(2).normal(size=n)
    dropped = [LeftOut.noise(*left_out(n, 0.5, thought, 1.0, seed))[0].item() == 0.0 for seed in range(20)]
    assert sum(dropped) >= 17


@settings(max_examples=20)
@given(x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_members_are_told_apart_beyond_the_labels_and_only_there(x, y):
    labels = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (101, 2)))
    apart = Beyond(4, 1, labels, seeded()).double()
    added = apart(torch.tensor([[x, y]]).double().expand(4, -1, -1))
    inside = max(abs(x), abs(y)) < 1
    assert bool((added == 0).all()) == inside or 1 <= max(abs(x), abs(y)) < 1.05  # the gap at either end is about 0.02


def test_what_is_added_beyond_the_labels_begins_small_and_grows_to_the_deviation_of_a_difference():
    apart = Beyond(400, 1, torch.linspace(-1, 1, 101)[:, None], seeded()).double()
    out = torch.tensor([1.02, 1.1, 1.5, 40.0]).double()[:, None]
    spread = apart(out.expand(400, -1, -1))[..., 0].std(0)
    assert spread[0] < 0.01
    assert bool((spread.diff() > 0).all())
    assert spread[-1].item() == pytest.approx(math.sqrt(2), rel=0.15)


def test_a_batch_holds_only_what_a_member_may_see():
    known = Table(torch.arange(100.0)[:, None], torch.arange(100.0)[:, None], table(100).blind)
    conditions, outcomes = known.batches(500, seeded())()
    for member in range(3):
        drawn = set(conditions[member, :, 0].long().tolist())
        assert not drawn & set(torch.nonzero(known.blind[member])[:, 0].tolist())
    assert torch.equal(conditions, outcomes)


def test_members_are_judged_by_what_they_are_blind_to():
    known = Table(torch.arange(100.0)[:, None], torch.zeros(100, 1), table(100).blind)
    held_out = known.held_out()
    for member in range(3):
        mine = held_out.conditions[member, held_out.there[member], 0].long().tolist()
        assert mine == torch.nonzero(known.blind[member])[:, 0].tolist()


def test_a_member_keeps_its_best_state_and_another_its_last():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.place = torch.nn.Parameter(torch.tensor([[4.0], [4.0]]))

    module = Two()
    descend(
        module,
        loss=lambda: module.place.square().sum(1),
        score=lambda: torch.stack([-module.place[0, 0], torch.tensor(math.nan)]),  # the first was best at the beginning
        steps=60,
        rate=0.1,
        decay=0.0,
    )
    assert module.place[0].item() == 4.0
    assert module.place[1].item() < 2.0


def test_weights_that_are_no_numbers_are_an_arithmetic_error():
    module = torch.nn.Linear(1, 1)
    with pytest.raises(ArithmeticError, match="the networks' weights are not finite"):
        descend(
            module,
            loss=lambda: (module.weight * math.nan).sum(1) + module.bias,
            score=lambda: torch.tensor([math.nan]),
            steps=20,
            rate=0.1,
            decay=0.0,
        )


def test_steps_are_bounded_on_both_sides():
    training = Training(passes=100, steps=(50, 400), batch=100)
    assert [training.count(n) for n in (10, 200, 100_000)] == [50, 200, 400]
