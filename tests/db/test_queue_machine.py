"""The queue against a model of it: whatever happens in whatever order, nothing is counted twice and nothing is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tests.db.conftest import Make
from theoros.db import Store

NAME = "machine"


class QueueMachine(RuleBasedStateMachine):
    """Keeps, per candidate number, the state that the evaluation should have, and per token, what it may still do."""

    tokens = Bundle("tokens")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="theoros-machine-")
        self.store = Store(Path(self.folder.name) / "campaigns.db")
        self.store.create_campaign(NAME, goal="learn", spec={}, seed=0)
        self.state: dict[int, str] = {}  # evaluation id -> state
        self.current: dict[int, str] = {}  # evaluation id -> token at work
        self.attempt: dict[str, str] = {}  # token -> state
        self.owner: dict[str, int] = {}  # token -> evaluation id
        self.losses: dict[int, int] = {}
        self.asked: dict[int, int] = {}  # candidate number -> evaluation id that stands for it
        self.cost = 0.0

    def teardown(self):
        self.store.close()
        self.folder.cleanup()

    @rule(numbers=st.lists(st.integers(0, 5), max_size=4))
    def enqueue(self, numbers):
        records = self.store.enqueue(NAME, [Make.decision(n) for n in numbers], required_outputs=["y"])
        for number, record in zip(numbers, records, strict=True):
            standing = self.asked.get(number)
            if standing is not None and self.state[standing] != "cancelled":
                assert record.evaluation_id == standing
            else:
                assert record.evaluation_id not in self.state
                assert record.state == "queued"
                self.state[record.evaluation_id] = "queued"
                self.asked[number] = record.evaluation_id

    @rule(target=tokens, limit=st.integers(1, 2))
    def claim(self, limit):
        claims = self.store.claim(NAME, worker="w", limit=limit)
        ready = sorted(number for number, state in self.state.items() if state in {"queued", "failed"})
        assert [claim.evaluation_id for claim in claims] == ready[:limit]
        for claim in claims:
            self.state[claim.evaluation_id] = "running"
            self.current[claim.evaluation_id] = claim.token
            self.owner[claim.token] = claim.evaluation_id
            self.attempt[claim.token] = "running"
        return claims[0].token if claims else ""

    @rule(token=tokens)
    def complete(self, token):
        if not token:
            return
        number = self.owner[token]
        state, attempt = self.state[number], self.attempt[token]
        expected = (attempt == "running" and state == "running") or (
            attempt == "lost" and state in {"queued", "failed", "poison"}
        )
        assert self.store.complete(token, Make.answer(number)) is expected
        if expected:
            self.state[number], self.attempt[token] = "done", "done"
            self.cost += 1.0

    @rule(token=tokens, again=st.booleans())
    def fail(self, token, again):
        if not token:
            return
        number = self.owner[token]
        expected = self.attempt[token] == "running" and self.state[number] == "running"
        failure = Make.failure(retry_after=0.0 if again else None, cost=0.5)
        assert self.store.fail(token, failure) is expected
        if expected:
            self.state[number], self.attempt[token] = ("failed" if again else "abandoned"), "failed"
            self.cost += 0.5

    @rule(token=consumes(tokens))
    def lose(self, token):
        touched = self.store.reconcile(NAME, lost_tokens=[token], max_losses=2)
        number = self.owner.get(token)
        if number is None or self.attempt[token] != "running":
            assert touched == []
            return
        assert [record.evaluation_id for record in touched] == [number]
        self.attempt[token] = "lost"
        self.losses[number] = self.losses.get(number, 0) + 1
        self.state[number] = "poison" if self.losses[number] >= 2 else "queued"

    @rule()
    def cancel(self):
        ready = [number for number, state in self.state.items() if state in {"queued", "failed"}]
        assert self.store.cancel(NAME) == len(ready)
        self.state |= dict.fromkeys(ready, "cancelled")

    @invariant()
    def the_store_agrees_with_the_model(self):
        records = self.store.evaluations(NAME)
        expected = {number: "abandoned" if state == "poison" else state for number, state in self.state.items()}
        assert {record.evaluation_id: record.state for record in records} == expected
        assert [record.sequence for record in records] == list(range(1, len(records) + 1))

    @invariant()
    def every_done_evaluation_has_one_label_and_its_cost_once(self):
        labels = self.store.label_records(NAME)
        assert [label.evaluation_id for label in labels] == [
            n for n, state in sorted(self.state.items()) if state == "done"
        ]
        assert abs(self.store.progress(NAME, {"high": 1.0}).cost - self.cost) < 1e-9


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
