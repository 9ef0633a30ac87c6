"""The search of an autoencoder's latent space: its moves, its guidance, and what it may not do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.models.molecule_proposers import SELFIES_VAE
from theoros.models.contract import ProposalRequest
from theoros.models.proposers.selfies_vae import NARROWEST, moved_by_prior, survivors
from theoros.oracles.spaces import Molecules

SPACE = Molecules(heavy_atoms=(1, 5))
LABELLED = tuple(SPACE.candidate(smiles) for smiles in ("FCC", "CC=O", "CSC", "OCCO", "C1CC1", "CC#N"))


@pytest.fixture
def request_(make_problem):
    def score(candidates):
        return np.array([c.data["smiles"].count("F") - 0.1 * len(c.data["smiles"]) for c in candidates])

    problem = make_problem(SPACE)
    return ProposalRequest(problem, 8, 3, frozenset(c.hash for c in LABELLED), labelled=LABELLED, score=score)


def test_moves_leave_the_prior_as_it_is():
    rng = np.random.default_rng(0)
    latents = torch.from_numpy(rng.standard_normal((20_000, 3))).float()
    for _ in range(3):
        latents = moved_by_prior(latents, rng)
    assert latents.mean(0).abs().max() < 0.03
    assert (torch.cov(latents.T) - torch.eye(3)).abs().max() < 0.04


def test_the_widths_of_moves_are_log_uniform():
    far = torch.full((4_000, 1), 1e4)  # from where the noise of a step is small beside the way back to the prior
    correlation = moved_by_prior(far, np.random.default_rng(0)).numpy().astype(float) / 1e4
    width = np.sqrt(np.clip(1 - correlation**2, 0, None))
    for quantile in (0.1, 0.5, 0.9):
        assert np.quantile(width, quantile) == pytest.approx(NARROWEST ** (1 - quantile), abs=0.02)


def test_the_better_half_of_the_chains_sets_the_level_and_replaces_the_others():
    chosen, level = survivors(np.array([3.0, -np.inf, 1.0, 2.0, 0.0, 5.0]), 0.5, np.random.default_rng(0))
    assert level == 2.0
    assert sorted(chosen.tolist()) == [0, 0, 3, 3, 5, 5]


def test_chains_that_tie_go_on_together():
    chosen, level = survivors(np.full(4, -np.inf), 0.5, np.random.default_rng(0))
    assert level == -np.inf
    assert sorted(chosen.tolist()) == [0, 1, 2, 3]


def test_it_finds_better_molecules_than_as_many_random_ones(request_):
    scored = []

    def counting(candidates):
        scored.extend(candidates)
        return request_.score(candidates)

    found = SELFIES_VAE.propose(replace(request_, score=counting))
    assert len(scored) <= SELFIES_VAE.chains * (SELFIES_VAE.rounds + 1)
    random = [c for c in SPACE.sample(len(scored), np.random.default_rng(3)) if c.hash not in request_.seen]
    assert request_.score(found).mean() > np.sort(request_.score(random))[-8:].mean()


def test_only_the_order_of_acquisition_values_counts(request_):
    stretched = replace(request_, score=lambda candidates: np.exp(3.0 * request_.score(candidates)) - 7.0)
    assert SELFIES_VAE.propose(stretched) == SELFIES_VAE.propose(request_)


def test_molecules_that_the_network_cannot_write_do_not_harm_it(request_):
    strange = SPACE.candidate("C[N+](=O)[O-]"), Molecules(heavy_atoms=(1, 30)).candidate("C" * 30)
    assert len(SELFIES_VAE.propose(replace(request_, labelled=strange))) == 8


def test_nothing_feasible_gives_nothing(request_):
    assert SELFIES_VAE.propose(replace(request_, problem=replace(request_.problem, feasible=lambda _: False))) == []
