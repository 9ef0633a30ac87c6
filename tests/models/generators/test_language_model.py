"""The language model of SMILES: its text, its likelihoods, its training and its reinforcement."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from theoros.models.generators import corpus, language_model_training
from theoros.models.generators.corpus import BOUNDARY, Vocabulary
from theoros.models.generators.language_model import LanguageModel, Sizes, batch_of, counted, sampled, samples, texts
from theoros.models.generators.language_model_search import Judged, Reinforcement, ranked_rewards, search
from theoros.models.generators.language_model_training import Training, encoded, per_token, prior_of, train_prior
from theoros.models.generators.quality import canonical, quality
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.starting_molecules import shipped_smiles

SPACE = Molecules(heavy_atoms=(1, 6))
SMALL = Sizes(embedding=16, hidden=48, layers=1, dropout=0.0)
BRIEF = Training(molecules=6_000, batch=32, rate=5e-3)


@pytest.fixture(scope="module")
def molecules():
    return [str(c.data["smiles"]) for c in SPACE.sample(300, np.random.default_rng(0))]


@pytest.fixture(scope="module")
def prior(molecules):
    return train_prior(molecules, BRIEF, SMALL, seed=0)


def untrained(vocabulary, longest=20, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LanguageModel(vocabulary, longest, SMALL).eval()


def drawn(seed):
    return torch.Generator().manual_seed(seed)


class TestText:
    @given(st.sampled_from(shipped_smiles()), st.integers(0, 2**32 - 1))
    def test_tokens_join_back_however_a_molecule_is_written(self, smiles, seed):
        for text in (smiles, *corpus.randomised(smiles, 2, seed)):
            assert "".join(corpus.tokens(text)) == text
            assert Chem.CanonSmiles(text) == smiles

    def test_what_is_one_token(self):
        assert corpus.tokens("C[N+](=O)[O-]") == ["C", "[N+]", "(", "=", "O", ")", "[O-]"]
        assert corpus.tokens("ClC(Br)I") == ["Cl", "C", "(", "Br", ")", "I"]
        assert corpus.tokens("C%12c1nC%12") == ["C", "%12", "c", "1", "n", "C", "%12"]
        assert corpus.tokens("F/C=C\\[C@@H]") == ["F", "/", "C", "=", "C", "\\", "[C@@H]"]

    def test_text_that_is_no_smiles_is_named(self):
        with pytest.raises(ValueError, match="'CCX' can't be taken apart: 'X' is no token"):
            corpus.tokens("CCX")
        with pytest.raises(ValueError, match=r"'C\(C' is not a SMILES"):
            corpus.randomised("C(C", 1, 0)

    def test_numbers_are_undone_and_unknown_tokens_are_told(self):
        vocabulary = Vocabulary(("C", "N"))
        assert vocabulary.encode("CCN") == [1, 1, 2]
        assert vocabulary.decode([1, 1, 2, BOUNDARY, 2]) == "CCN"
        assert vocabulary.decode([1, 1, 2]) == ""
        assert vocabulary.encode("CO") is None
        assert vocabulary.encode("?") is None

    def test_ways_of_writing_depend_on_the_seed_alone(self):
        ways = [corpus.randomised("CC(=O)OCC#N", 8, seed) for seed in (0, 0, 1)]
        assert ways[0] == ways[1] != ways[2]
        assert len(set(ways[0])) > 3

    @given(st.integers(2, 500), st.integers(0, 100))
    def test_a_tenth_is_held_out(self, n, seed):
        learned, held = corpus.split(n, seed)
        assert sorted(learned + held) == list(range(n))
        assert len(held) == max(1, n // 10)


class TestLikelihood:
    def test_probabilities_of_all_texts_add_up_to_one(self):
        model = untrained(Vocabulary(("C", "N")))
        with torch.no_grad():
            finished = [list(row) for t in range(5) for row in itertools.product((1, 2), repeat=t)]
            ended = model.log_likelihoods(batch_of(finished, model.device)).exp().sum()
            # What has not ended after four tokens: the same texts of four, without their end.
            four = batch_of([row for row in finished if len(row) == 4], model.device)
            going = model.token_log_likelihoods(four)[:, :4].sum(1).exp().sum()
        mass = float(ended - model.log_likelihoods(four).exp().sum().detach() + going)
        assert mass == pytest.approx(1.0, abs=1e-5)

    def test_a_text_is_as_likely_as_its_steps_whatever_stands_beside_it(self):
        model = untrained(Vocabulary(("C", "N", "O")))
        rows = [[1, 3, 2], [2], [], [3, 3, 3, 1, 2, 1]]
        with torch.no_grad():
            together = model.log_likelihoods(batch_of(rows, model.device))
            for row, likelihood in zip(rows, together, strict=True):
                state, token, total = None, BOUNDARY, 0.0
                for following in [*row, BOUNDARY]:
                    steps, state = model(torch.tensor([[token]]), state)
                    total += float(steps[0, 0, following])
                    token = following
                assert total == pytest.approx(float(likelihood), abs=1e-5)

    def test_only_what_belongs_to_a_text_is_counted(self):
        assert counted(torch.tensor([[1, 0, 0], [0, 0, 0], [1, 2, 3]])).tolist() == [
            [True, True, False],
            [True, False, False],
            [True, True, True],
        ]

    def test_texts_are_drawn_as_often_as_they_are_likely(self):
        model = untrained(Vocabulary(("C",)), longest=30)
        drawn_ = texts(model, sampled(model, 20_000, drawn(0)))
        with torch.no_grad():
            likely = model.log_likelihoods(batch_of([[1] * n for n in range(1, 4)], model.device)).exp().tolist()
        for n, probability in enumerate(likely, 1):
            error = math.sqrt(probability * (1 - probability) / 20_000)
            assert drawn_.count("C" * n) / 20_000 == pytest.approx(probability, abs=4.5 * error)

    def test_what_never_ends_is_no_text(self):
        model = untrained(Vocabulary(("C",)), longest=3)
        with torch.no_grad():
            model.logits.bias[BOUNDARY] = -100.0
        assert samples(model, 4, drawn(0)) == [""] * 4


class TestTraining:
    def test_it_raises_the_likelihood_of_what_is_held_out(self, prior, molecules):
        _, held = corpus.split(len(molecules), 1)
        before = untrained(prior.model.vocabulary)
        rows = encoded(before.vocabulary, [molecules[i] for i in held], 1, 0)
        assert per_token(prior.model, rows) > per_token(before, rows) + 0.8
        assert prior.held_out > -1.9
        assert prior.n == len(molecules)

    def test_the_same_seed_gives_the_same_weights(self, molecules):
        first, again = (train_prior(molecules[:60], replace(BRIEF, molecules=200), SMALL, 5) for _ in range(2))
        assert all(map(torch.equal, first.model.state_dict().values(), again.model.state_dict().values()))

    def test_training_leaves_the_global_generator_alone(self, molecules):
        before = torch.random.get_rng_state()
        train_prior(molecules[:40], replace(BRIEF, molecules=40), SMALL, 5)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_it_ends_when_the_held_out_likelihood_falls(self, molecules, monkeypatch):
        looks = iter([-2.0, -1.0, -3.0, -3.0, -3.0])
        monkeypatch.setattr(language_model_training, "per_token", lambda *_: next(looks))
        brief = replace(BRIEF, molecules=10_000, patience=3)
        assert train_prior(molecules[:30], brief, SMALL, 0).held_out == -1.0

    def test_a_few_molecules_are_too_few(self, molecules):
        with pytest.raises(ValueError, match=r"needs 20 molecules to learn from, and the space begins with 19\. Give"):
            train_prior(molecules[:19], BRIEF, SMALL, 0)


class TestKept:
    @pytest.fixture
    def trainings(self, tmp_path, monkeypatch):
        monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
        times = []

        def counting(*arguments):
            times.append(1)
            return train_prior(*arguments)

        monkeypatch.setattr(language_model_training, "train_prior", counting)
        return times

    def test_a_prior_is_trained_once_for_a_corpus_and_comes_back_whole(self, trainings, tmp_path, molecules):
        file = tmp_path / "own.smi"
        file.write_text("\n".join([*molecules[:60], "no SMILES", "C" * 40]) + "\n")
        space = Molecules(heavy_atoms=(1, 6), file=str(file))
        brief = replace(BRIEF, molecules=200)
        first, again = (prior_of(space, brief, SMALL) for _ in range(2))
        assert len(trainings) == 1
        assert (first.n, first.held_out, first.model.longest) == (again.n, again.held_out, again.model.longest)
        assert first.n == 60
        assert first.model.vocabulary == again.model.vocabulary
        assert samples(first.model, 20, drawn(1)) == samples(again.model, 20, drawn(1))
        file.write_text("\n".join(molecules[60:120]) + "\n")
        prior_of(Molecules(heavy_atoms=(1, 6), file=str(file)), brief, SMALL)
        assert len(trainings) == 2

    def test_a_corpus_that_a_package_brings_is_one_too(self, trainings, monkeypatch):
        monkeypatch.setattr(language_model_training, "MOST", 60)
        space = Molecules(file="zinc250k", elements=("C", "N", "O", "F", "S", "Cl", "Br"), heavy_atoms=(10, 40))
        assert prior_of(space, replace(BRIEF, molecules=100), SMALL).n == 60
        assert len(trainings) == 1


class TestSamples:
    def test_the_same_seed_gives_the_same_texts(self, prior):
        assert samples(prior.model, 50, drawn(3)) == samples(prior.model, 50, drawn(3))
        assert samples(prior.model, 50, drawn(3)) != samples(prior.model, 50, drawn(4))

    def test_a_trained_model_writes_molecules(self, prior, molecules):
        found = quality(canonical(samples(prior.model, 300, drawn(0))), molecules)
        before = quality(canonical(samples(untrained(prior.model.vocabulary), 300, drawn(0))), molecules)
        assert found.validity > 0.25 > 0.1 > before.validity
        assert found.uniqueness > 0.5


def judge_of(value):
    def judge(smiles):
        found = []
        for text in smiles:
            try:
                canonical = str(SPACE.candidate(text).data["smiles"])
                found.append(Judged(canonical, value(canonical)))
            except InvalidCandidate:
                found.append(None)
        return found

    return judge


def nitrogens(smiles):
    return float(smiles.upper().count("N"))


class TestReinforcement:
    def test_rewards_depend_on_the_order_alone(self):
        values = np.array([3.0, -np.inf, 7.0, 3.0])
        rewards = ranked_rewards(values)
        assert rewards[2] == 1.0
        assert rewards[0] == rewards[3] == pytest.approx(0.5)
        assert rewards[1] == pytest.approx(0.0)
        assert np.array_equal(rewards, ranked_rewards(100 * values - 5))
        assert ranked_rewards(np.array([2.0])).tolist() == [1.0]

    def test_it_raises_the_mean_value_of_what_is_drawn(self, prior):
        means = []

        def judge(smiles):
            found = judge_of(nitrogens)(smiles)
            means.append(np.mean([judged.value for judged in found if judged]) if any(found) else 0.0)
            return found

        search(prior.model, [], judge, Reinforcement(steps=20, batch=48, rate=3e-3), seed=0)
        of_the_prior = means[1]  # means[0] is of the known molecules, and there are none
        assert np.mean(means[-3:]) > of_the_prior + 0.7

    def test_it_learns_from_what_is_known_to_be_good(self, prior):
        drawn_ = []

        def judge(smiles):
            drawn_.append([nitrogens(text) for text in smiles])
            return judge_of(nitrogens)(smiles)

        settings_ = Reinforcement(steps=2, rate=5e-3, memory=4, rewritings=20)
        search(prior.model, ["NNC", "NN", "CNN", "CNNC"], judge, settings_, seed=0)
        known, of_the_prior, after = map(np.mean, drawn_)
        assert known == 2.0
        assert after > of_the_prior + 0.5

    def test_the_prior_is_left_as_it_was(self, prior):
        before = {name: value.clone() for name, value in prior.model.state_dict().items()}
        search(prior.model, ["CN"], judge_of(nitrogens), Reinforcement(steps=2, batch=16), seed=0)
        assert all(torch.equal(before[name], value) for name, value in prior.model.state_dict().items())

    def test_the_same_seed_searches_alike(self, prior):
        asked = []

        def judge(smiles):
            asked.append(list(smiles))
            return judge_of(nitrogens)(smiles)

        for seed in (1, 1, 2):
            search(prior.model, ["CN"], judge, Reinforcement(steps=3, batch=16), seed=seed)
        assert asked[:4] == asked[4:8] != asked[8:]

    def test_a_collapsed_copy_is_given_up_for_the_prior(self, prior):
        # A rate so high that whatever the copy learns ruins it: every other batch is a new copy's, which is the prior.
        ruinous = Reinforcement(steps=6, batch=64, rate=1.0)
        history = search(prior.model, [], judge_of(nitrogens), ruinous, seed=0)
        assert [step.collapsed for step in history] == [False, True, False, True, False, True]
        assert min(step.unique for step in history[::2]) > 0.5 * history[0].unique

    def test_a_molecule_with_tokens_that_the_prior_lacks_is_passed_over(self, prior):
        assert prior.model.vocabulary.encode("CBr") is None
        judge = lambda smiles: [Judged(text, 1.0) for text in smiles if text == "CBr"] or [None] * len(smiles)  # noqa: E731
        assert search(prior.model, ["CBr"], judge, Reinforcement(steps=1, batch=8, collapse=0.0), seed=0)

    def test_no_step_begins_after_the_deadline(self, prior):
        assert search(prior.model, [], judge_of(nitrogens), Reinforcement(), seed=0, deadline=0.0) == []
