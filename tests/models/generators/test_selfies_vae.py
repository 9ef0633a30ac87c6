"""The SELFIES autoencoder: its bound, its training, and what is said of what it draws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, kl_divergence

from theoros.models.generators import selfies_vae, selfies_vae_training
from theoros.models.generators.quality import quality
from theoros.models.generators.selfies_strings import END, Alphabet, smiles_of, tokens_of
from theoros.models.generators.selfies_vae import SelfiesVAE, Sizes, evidence_bound
from theoros.models.generators.selfies_vae_metrics import in_space, reconstruction, sampled
from theoros.models.generators.selfies_vae_training import Training, fitted, fitted_to, starting_tokens
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.spaces import Molecules

SPACE = Molecules(heavy_atoms=(1, 5), elements=["C", "N", "O"])
CORPUS = starting_tokens(SPACE)
SMALL = Sizes(embedding=8, hidden=96, latent=12)
SHORT = Training(steps=300, batch=64, rate=5e-3)

moments = st.lists(st.tuples(st.floats(-5, 5), st.floats(-8, 4)), min_size=1, max_size=6)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("weights")))
        return fitted(CORPUS, SHORT, sizes=SMALL)


@given(moments)
def test_the_kl_term_is_the_closed_form_and_never_negative(pairs):
    mean, log_variance = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
    found = selfies_vae.kl_divergence(mean, log_variance)
    std = (0.5 * log_variance).exp()
    known = kl_divergence(Normal(mean, std), Normal(torch.zeros_like(mean), torch.ones_like(mean)))
    assert torch.allclose(found, known, rtol=1e-6, atol=1e-9)
    assert (found >= -1e-12).all()


def test_the_kl_term_vanishes_at_the_prior():
    assert selfies_vae.kl_divergence(torch.zeros(3), torch.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_the_bound_lies_below_the_log_probability(model):
    """log p(x) by importance sampling from the encoder (Burda et al., arXiv:1509.00519), of 32 molecules."""
    rows = torch.from_numpy(model.alphabet.numbers(CORPUS[:32]))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        bounds = torch.stack([(b := evidence_bound(model, rows, generator)).likelihood - b.kl for _ in range(50)])
        mean, log_variance = model.encode(rows)
        posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
        prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
        draws = mean + torch.randn((200, *mean.shape), generator=generator) * (0.5 * log_variance).exp()
        terms = [model.log_likelihood(z, rows) + prior.log_prob(z) - posterior.log_prob(z) for z in draws]
    log_probability = (torch.logsumexp(torch.stack(terms), 0) - np.log(200)).mean()
    assert bounds.mean() < log_probability < 0


def test_likelihoods_of_all_short_rows_sum_to_one():
    """Over every row of a two-letter alphabet with up to one token, and all longer ones together."""
    model = SelfiesVAE(Alphabet(("[C]", "[O]"), 1), Sizes(4, 8, 2))
    rows = torch.tensor([[END, END], [1, END], [2, END], [1, 1], [1, 2], [2, 1], [2, 2]])
    latent = torch.randn(1, 2, generator=torch.Generator().manual_seed(0)).expand(7, 2)
    assert model.log_likelihood(latent, rows).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_what_follows_the_end_counts_for_nothing():
    model = SelfiesVAE(Alphabet(("[C]", "[O]"), 3), Sizes(4, 8, 2))
    latents = torch.zeros(2, 2)
    ended = model.log_likelihood(latents, torch.tensor([[1, END, END, END]] * 2))
    first_two = model._logits(latents).log_softmax(2)
    assert torch.allclose(ended, first_two[:, 0, 1] + first_two[:, 1, END], atol=1e-6)


def test_training_improves_reconstruction_and_keeps_the_latent_space_in_use(model):
    untrained = fitted(CORPUS, Training(steps=1, batch=64), sizes=SMALL)
    assert reconstruction(untrained, CORPUS) < 0.05
    assert reconstruction(model, CORPUS) > 0.5
    mean, log_variance = model.encode(torch.from_numpy(model.alphabet.numbers(CORPUS)))
    assert (selfies_vae.kl_divergence(mean, log_variance).mean(0) > 0.05).sum() >= 6


def test_draws_of_the_prior_repeat_with_the_seed(model):
    first, again, other = (sampled(model, 40, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_training_repeats_with_the_seed_and_leaves_the_global_generator_alone(tmp_path, monkeypatch):
    states = []
    before = torch.get_rng_state()
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        monkeypatch.setenv(CACHE, str(tmp_path / folder))
        states.append(fitted(CORPUS[:20], Training(steps=3, batch=8), sizes=SMALL, seed=seed).state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["decoder.0.weight"], states[2]["decoder.0.weight"])


def test_kept_weights_give_the_same_model_without_training(monkeypatch):
    first = fitted(CORPUS[:20], Training(steps=3, batch=8), sizes=SMALL)
    monkeypatch.setattr(selfies_vae_training, "_train", None)  # would fail if it were called
    again = fitted(CORPUS[:20], Training(steps=3, batch=8), sizes=SMALL)
    assert torch.equal(first.latents(CORPUS[:20]), again.latents(CORPUS[:20]))


def test_a_space_without_starting_molecules_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"there are none. Give the space a 'file' of molecules, or use 'genetic'.$"):
        fitted_to(Molecules(elements=["Si"], heavy_atoms=(1, 3)), SHORT)


@given(st.lists(st.sampled_from(CORPUS), min_size=1, max_size=5))
def test_numbers_are_read_back_as_the_tokens_that_were_written(molecules):
    alphabet = Alphabet.of(CORPUS)
    rows = alphabet.numbers(molecules)
    assert rows.shape == (len(molecules), alphabet.length + 1)
    assert (rows[:, -1] == END).all()
    assert alphabet.molecules(rows) == molecules


def test_an_alphabet_holds_what_is_short_enough_and_has_its_tokens():
    alphabet = Alphabet.of([("[C]", "[O]"), ("[C]",)])
    assert (alphabet.tokens, alphabet.length, alphabet.size) == (("[C]", "[O]"), 2, 3)
    assert alphabet.holds(("[O]", "[O]"))
    assert not alphabet.holds(("[C]", "[C]", "[C]"))
    assert not alphabet.holds(("[N]",))


def test_every_starting_molecule_goes_through_tokens_unharmed():
    candidates = SPACE.seeds()
    assert {in_space(SPACE, tokens_of(c.data["smiles"])).hash for c in candidates} == {c.hash for c in candidates}


def test_draws_are_molecules_though_not_all_of_the_space(model):
    drawn = sampled(model, 200, torch.Generator().manual_seed(0))
    found = [in_space(SPACE, tokens) for tokens in drawn]
    share = quality([c and c.text for c in found], {c.text for c in SPACE.seeds()})
    assert in_space(SPACE, ()) is None
    assert all(smiles_of(tokens) is not None for tokens in drawn if tokens)
    assert share.validity > 0.4
    assert share.uniqueness > 0.3
