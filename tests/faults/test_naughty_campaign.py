"""A campaign whose oracle does everything that an oracle can do wrong goes on, and ends with an exact budget."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.invariants import violations
from theoros.db import EvaluationRecord, Store
from theoros.orchestrator.campaign import Campaign

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workers")]

from mischief import BEHAVIOURS  # noqa: E402

SPEC = {
    "campaign": "naughty",
    "question": {"maximize": "value"},
    "oracle": {"mischief:Mischief": {"resources": {"num_cpus": 1, "memory": "600 MiB", "timeout": 20}}},
    "acquisition": "random",
    "budget": {"labels": len(BEHAVIOURS)},
    "retries": {"memory": 1, "not_converged": 2, "backoff": "0.1 s"},
    "workers": {"slots": 3},
    "seed": 1,
}


@pytest.fixture(scope="module")
def home(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("naughty")
    for module in (HERE / "mischief.py", HERE.parent / "workers" / "naughty.py"):
        shutil.copy(module, folder)
    campaign = Campaign(SPEC, folder / "t.db", base=folder)
    campaign.run()
    campaign.close()
    return folder


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[Store]:
    with Store(home / "t.db", read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def ended(store: Store) -> dict[str, EvaluationRecord]:
    return {e.candidate.data["behaviour"]: e for e in store.evaluations("naughty")}


@pytest.fixture(scope="module")
def attempts(store: Store, ended: dict[str, EvaluationRecord]) -> pd.DataFrame:
    table = store.attempts("naughty")
    return table.assign(behaviour=table["sequence"].map({e.sequence: name for name, e in ended.items()}))


def test_the_campaign_ends_and_every_invariant_holds(store, home):
    spool = home / ".theoros-spool" / "naughty"
    assert violations(store, "naughty", budget=len(BEHAVIOURS), spool=spool) == []


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_each_misbehaviour_has_its_class_and_each_answer_its_label(ended, behaviour):
    evaluation = ended[behaviour]
    if BEHAVIOURS[behaviour] is None:
        assert evaluation.state == "done", evaluation.message
    else:
        assert (evaluation.state, evaluation.failure_class) == ("abandoned", BEHAVIOURS[behaviour])


def test_what_crashes_two_processes_is_quarantined_and_says_with_which_signal(attempts, ended):
    own = attempts[attempts["behaviour"] == "segfault"]
    assert own["exit_class"].tolist() == ["crash", "poison"]
    assert own["message"].str.contains("SIGSEGV").all()
    assert "quarantined" in ended["segfault"].message


def test_what_our_own_deadline_kills_is_no_poison(attempts):
    assert attempts[attempts["behaviour"] == "hang_in_c"]["exit_class"].tolist() == ["timeout"]


def test_what_ran_out_of_memory_is_tried_again_with_twice_as_much(attempts):
    assert attempts[attempts["behaviour"] == "hungry"]["state"].tolist() == ["failed", "done"]
    limits = attempts[attempts["behaviour"] == "eat_memory"]["message"].str.extract(r"(\d+) MiB were granted")[0]
    assert limits.dropna().isin(["600", "1200"]).all()
    assert len(limits) == 2


def test_retries_are_counted_for_each_class(attempts):
    assert len(attempts[attempts["behaviour"] == "not_converged"]) == 3
    assert len(attempts[attempts["behaviour"] == "raise"]) == 1


def test_a_person_is_told_that_an_answer_could_not_be_made_durable(store):
    (event,) = store.events("naughty", kinds=["not_durable"])
    assert "No space left" in event.message
