"""The gatekeeper: verdicts are remembered, and what was turned away is counted and told, once."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.gates import gatekeeper as module
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper, merged
from theoros.oracles.spaces.gates.own import Own
from theoros.oracles.spaces.gates.quick import Neutral, Within


def molecule(smiles):
    return Candidate("molecule", {"smiles": smiles})


@dataclass(frozen=True)
class Longer:
    """Turns away SMILES of more than so many characters; says how often it was asked."""

    most: int
    name: str
    late: bool = False
    asked: Counter = None

    def reason(self, subject):
        if self.asked is not None:
            self.asked[subject.smiles] += 1
        return f"more than {self.most}" if len(subject.smiles) > self.most else None


ALKANES = st.lists(st.integers(1, 8).map(lambda n: molecule("C" * n)), max_size=30)


@given(ALKANES, st.integers(1, 8), st.integers(1, 8))
def test_each_molecule_counts_once_for_the_first_gate_that_it_fails(met, first, second):
    keeper = Gatekeeper([Longer(first, "first"), Longer(second, "second")])
    assert [keeper(c) for c in met] == [len(c.text) <= min(first, second) for c in met]
    lengths = {len(c.text) for c in met}
    expected = {
        "first": {f"more than {first}": sum(n > first for n in lengths)},
        "second": {f"more than {second}": sum(second < n <= first for n in lengths)},
    }
    assert keeper.take_counts() == {gate: counts for gate, counts in expected.items() if any(counts.values())}
    assert [keeper(c) for c in met] == [len(c.text) <= min(first, second) for c in met]
    assert keeper.take_counts() == {}, "counts are taken once"


def test_slow_gates_are_asked_of_what_passed_the_others_and_once():
    asked = Counter()
    keeper = Gatekeeper([Longer(2, "slow", late=True, asked=asked), Longer(4, "quick")])
    assert keeper.has_late
    assert [keeper(molecule("C" * n)) for n in (1, 3, 5)] == [True, True, False]
    assert asked == {}
    assert [keeper.admits(molecule("C" * n)) for n in (1, 3, 5, 1, 3, 5)] == [True, False, False] * 2
    assert asked == {"C": 1, "CCC": 1}
    assert keeper(molecule("CCC")), "the veto does not depend on what was looked at closely"
    assert keeper.take_counts() == {"slow": {"more than 2": 1}, "quick": {"more than 4": 1}}


@dataclass(frozen=True)
class Broken:
    """A slow gate that can't judge anything."""

    name: str = "broken"
    late: bool = True

    def reason(self, subject):
        raise RuntimeError(subject.smiles)


def test_what_slow_gates_turn_away_is_told_once_and_what_they_fail_to_judge_is_not():
    keeper = Gatekeeper([Longer(4, "quick"), Longer(2, "slow", late=True)])
    for n in (1, 3, 5, 3, 4):
        keeper.admits(molecule("C" * n))
    assert [c.text for c in keeper.take_unfit()] == ["CCC", "CCCC"], "quick gates cost nothing, and are not learned"
    assert keeper.take_unfit() == []
    broken = Gatekeeper([Broken(), Longer(2, "slow", late=True)])
    assert not broken.admits(molecule("CCC"))
    assert broken.take_unfit() == [], "a gate that fails says nothing of the molecule"
    assert broken.take_counts() == {"broken": {"the gate failed: RuntimeError": 1}}


def test_text_that_is_no_molecule_is_turned_away_and_counted():
    keeper = Gatekeeper([Neutral()])
    assert not keeper(molecule("C(C)(C)(C)(C)C"))
    assert not keeper.admits(molecule("C1CC"))
    assert keeper.take_counts() == {"readable": {"it is no SMILES of a possible molecule": 2}}


def test_another_process_begins_with_the_gates_and_without_memory():
    keeper = Gatekeeper([Within("heavy_atoms", None, 2, "size")])
    assert not keeper(molecule("CCC"))
    sent = pickle.loads(pickle.dumps(keeper))
    assert sent.gates == keeper.gates
    assert sent.take_counts() == {}
    assert not sent(molecule("CCC"))


def test_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(module, "MOST_VERDICTS", 2)
    asked = Counter()
    keeper = Gatekeeper([Longer(9, "quick", asked=asked)])
    for n in (1, 2, 1, 3, 1, 2):
        keeper(molecule("C" * n))
    assert asked == {"C": 1, "CC": 2, "CCC": 1}, "the one asked for longest ago is forgotten"


def test_reasons_are_few_and_short(monkeypatch, own_gates):
    monkeypatch.setattr(module, "MOST_REASONS", 3)
    keeper = Gatekeeper([Own("gates_of_mine:why", str(own_gates))])
    for n in range(1, 200, 40):
        keeper(molecule("C" * n))
    (reasons,) = keeper.take_counts().values()
    assert sum(reasons.values()) == 5
    assert reasons["other reasons"] == 2
    assert max(map(len, reasons)) <= module.LONGEST_REASON


def test_counts_add_up():
    first, second = {"a": {"x": 1, "y": 3}}, {"b": {"z": 2}, "a": {"x": 4}}
    assert merged([first, second]) == {"a": {"x": 5, "y": 3}, "b": {"z": 2}}
    assert list(merged([first, second])["a"]) == ["x", "y"]
    assert merged([]) == {}


def test_what_the_space_did_not_admit_is_told_before_the_gates_and_by_who_made_it():
    keeper = Gatekeeper([Within("heavy_atoms", None, 2.0, "size")])
    assert not keeper(Candidate("molecule", {"smiles": "CCC"}))
    for proposer, reason in (("genetic", "size"), ("selfies", "radical"), ("genetic", "charge"), ("genetic", "charge")):
        keeper.refused(proposer, reason)
    counts = keeper.take_counts()
    assert counts == {
        "space (genetic)": {"charge": 2, "size": 1},
        "space (selfies)": {"radical": 1},
        "size": {"more than 2": 1},
    }
    assert list(counts)[-1] == "size"
    assert keeper.take_counts() == {}
