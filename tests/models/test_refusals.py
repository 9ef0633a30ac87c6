"""What a proposer made that is no molecule of the space is told with its reason, and changes nothing."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from theoros.models import decide, registry
from theoros.models.contract import ProposalRequest
from theoros.models.generators.selfies_vae_metrics import in_space
from theoros.models.proposers.flow3d import accepted
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.refusals import Refusal

SPACE = Molecules(elements=["C", "N", "O"], heavy_atoms=(2, 5), max_ring_size=4, forbid=["[N+](=O)[O-]"])
SMALL = {
    "genetic": {"generations": 3, "offspring": 20},
    "selfies": {"generations": 3, "offspring": 20},
    "gflownet": {"steps": 2, "molecules": 100, "fragments": 30, "epochs": 1, "width": 16, "batch": 32},
    "language_model": {"hidden": 24, "layers": 1, "training_molecules": 500, "steps": 2, "batch": 32},
}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "nothing was made"),
        ("", "unreadable"),
        ("C1CC", "unreadable"),
        ("\u202eCC", "unreadable"),
        ("C(C)(C)(C)(C)C", "impossible valences or rings"),
        ("C" * 6, "size"),
        ("C" * 5000, "size"),
        ("CCF", "element"),
        ("[13CH3]C", "isotope or bare hydrogen"),
        ("C[CH2]", "radical"),
        ("C[NH3+]", "charge"),
        ("CC.CC", "several fragments"),
        ("C1CCCC1", "ring size"),
        ("C[N+](=O)[O-]", "forbidden pattern: [N+](=O)[O-]"),
    ],
)
def test_a_text_is_refused_for_a_reason_that_many_share(text, reason):
    heard = []
    assert SPACE.reading(text, heard.append) is None
    assert heard == [reason]
    assert SPACE.reading(text) is None, "nobody has to listen"


def test_a_broken_rule_of_stability_is_told_by_its_name():
    heard = []
    Molecules(heavy_atoms=(2, 9)).reading("COOC", heard.append)
    (told,) = heard
    assert told.startswith("stability rule: ")
    assert len(told) > len("stability rule: ")


def test_what_is_in_the_space_is_not_refused():
    heard = []
    assert SPACE.reading("OCC", heard.append).text == "CCO"
    assert heard == []


def test_a_space_that_does_not_say_why_is_counted_too(monkeypatch):
    def refuse(self, data):
        raise InvalidCandidate("no")

    heard = []
    monkeypatch.setattr(Molecules, "candidate", refuse)
    assert SPACE.reading("CCO", heard.append) is None
    assert heard == [Refusal.OTHER]


def test_decoded_tokens_and_structures_are_refused_alike():
    class Written:
        def smiles(self, text):
            return text

    heard = []
    assert in_space(SPACE, (), heard.append) is None
    assert [c.text for c in accepted(SPACE, Written(), ["CCO", None, "CCF"], heard.append)] == ["CCO"]
    assert heard[1:] == ["nothing was made", "element"]


@pytest.fixture
def asked(make_problem):
    def oxygens(candidates):
        return np.array([candidate.text.count("O") - 0.01 * len(candidate.text) for candidate in candidates])

    return ProposalRequest(make_problem(SPACE), 8, 3, frozenset(), score=oxygens)


@pytest.mark.parametrize("name", list(SMALL))
def test_a_proposer_tells_what_was_refused_and_proposes_the_same_when_nobody_listens(name, asked):
    heard, proposer = Counter(), registry.proposer(name, SMALL[name])
    found = proposer.propose(replace(asked, refused=lambda reason: heard.update([reason])))
    again = proposer.propose(asked)
    assert [c.hash for c in found] == [c.hash for c in again]
    assert heard.total() > 0
    kinds = set(map(str, Refusal))
    assert {reason.partition(": ")[0] for reason in heard} <= kinds


def test_a_child_that_is_met_again_is_counted_again(asked):
    heard = [Counter(), Counter()]
    for counts in heard:  # the second time it is remembered how every text is read
        registry.proposer("genetic", SMALL["genetic"]).propose(
            replace(asked, refused=lambda r, c=counts: c.update([r]))
        )
    assert heard[0] == heard[1]


def test_refusals_are_told_by_the_name_of_the_proposer(make_problem):
    class Careless:
        name, kinds, needs_model = "careless", frozenset({"molecule"}), False

        def propose(self, request):
            texts = ["CCO", "CC[CH2]", "not a molecule"]
            return [c for text in texts if (c := request.problem.space.reading(text, request.refused)) is not None]

    heard, problem = [], make_problem(Molecules(heavy_atoms=(2, 5)))
    found = decide.propose(
        problem,
        [Careless()],
        empty(problem),
        None,
        registry.acquisition("random"),
        [],
        frozenset(),
        3,
        0,
        refused=lambda *told: heard.append(told),
    )
    assert [proposal.candidate.text for proposal in found] == ["CCO"]
    assert heard == [("careless", "radical"), ("careless", "unreadable")]


def empty(problem):
    from theoros.workers.modelling import empty_dataset

    return empty_dataset(problem)
