"""The store against a model of it, on both databases: whatever happens in whatever order, and wherever a process dies.

`pytest tests/db/test_queue_machine.py --hypothesis-profile=long` tries thousands of histories instead of a few.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from sqlalchemy import select, text

from tests.db.breaker import Breaker, Death
from tests.db.conftest import Make
from theoros.db import CampaignOwned, ModelVersionRecord, OwnershipLost, Store
from theoros.db.clock import now
from theoros.db.errors import CommitUnknown, DatabaseUnreachable
from theoros.db.schema import Attempt, Evaluation

EXAMPLES = {"sqlite": 60, "postgresql": 25}
MAX_LOSSES = 2
NOW, LATER = 0.0, 1000.0  # seconds: what ends now has ended when the next call is made
DIED = object()
_numbers = itertools.count()

campaigns = st.sampled_from(["a", "b"])
recent = st.integers(0, 7)  # an attempt, counted back from the last one
times = st.sampled_from([NOW, LATER])


@dataclass
class Model:
    """What one campaign should be."""

    name: str
    states: dict[int, str] = field(default_factory=dict)  # evaluation id -> state
    numbers: dict[int, int] = field(default_factory=dict)  # evaluation id -> candidate number
    asked: dict[int, int] = field(default_factory=dict)  # candidate number -> evaluation id that stands for it
    patient: set[int] = field(default_factory=set)  # evaluations whose next try is not due
    losses: Counter[int] = field(default_factory=Counter)
    cost: float = 0.0
    owner: str | None = None
    owner_expired: bool = False
    replaced: list[str] = field(default_factory=list)  # owners that are no more

    def waiting(self) -> list[int]:
        return sorted(key for key, state in self.states.items() if state in {"queued", "failed"})

    def lose(self, key: int) -> None:
        self.losses[key] += 1
        self.states[key] = "poison" if self.losses[key] >= MAX_LOSSES else "queued"


@dataclass
class Try:
    """What one attempt should be."""

    campaign: Model
    evaluation: int
    state: str = "running"
    expired: bool = False

    def takes_answer(self) -> bool:
        state = self.campaign.states[self.evaluation]
        return (self.state == "running" and state == "running") or (
            self.state == "lost" and state in {"queued", "failed", "poison"}
        )


class QueueMachine(RuleBasedStateMachine):
    """Two campaigns of one database, which share answers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.example = url, next(_numbers)
        self.breaker, self.breaks = Breaker(), None
        self.open()
        self.models = {key: Model(f"{key}{self.example}") for key in ("a", "b")}
        made = [self.store.create_campaign(model.name, goal="learn", spec={}, seed=0) for model in self.models.values()]
        self.first = made[0].campaign_id
        self.tries: dict[str, Try] = {}
        self.labelled: set[int] = set()

    def open(self) -> None:
        self.store = Store(self.url)
        self.breaker.watch(self.store)

    def teardown(self) -> None:
        try:
            self.require_labels_and_costs()
        finally:
            self.store.close()

    def do(self, call: Callable[[], Any]) -> Any:
        """What the call returns; DIED when its process did: then another one opens the store."""
        breaks, self.breaks = self.breaks, None
        if breaks is None:
            return call()
        try:
            with self.breaker.armed(*breaks):
                return call()
        except (Death, DatabaseUnreachable) as error:
            self.store.close()
            self.open()
            if isinstance(error, CommitUnknown):
                while (became := self.store.fate(error.transaction)) == "in progress":
                    time.sleep(0.001)
                assert became == "undone"
            return DIED

    @rule(at=st.integers(0, 9), closes=st.booleans())
    def die_in_the_next_call(self, at, closes):
        self.breaks = (at, closes)

    # -- the queue --------------------------------------------------------------------------------------------------

    def key(self, number: int) -> str:
        return f"{self.example}/{number}"

    @initialize()
    def begin(self):
        self.acquire("a", LATER, dead=False)
        self.enqueue("a", [0, 1, 2, 3], owns=True)
        self.claim("a", 2, LATER, owns=True)

    def token(self, which: int) -> str:
        return list(self.tries)[-1 - which % len(self.tries)]

    @rule(campaign=campaigns, numbers=st.lists(st.integers(0, 5), min_size=1, max_size=4), owns=st.booleans())
    def enqueue(self, campaign, numbers, owns):
        model = self.models[campaign]
        decisions = [Make.decision(n, cache_key=self.key(n)) for n in numbers]
        owner = model.owner if owns else None
        records = self.do(lambda: self.store.enqueue(model.name, decisions, required_outputs=["y"], owner=owner))
        if records is DIED:
            return
        for number, record in zip(numbers, records, strict=True):
            standing, key = model.asked.get(number), record.evaluation_id
            if standing is not None and model.states[standing] != "cancelled":
                assert key == standing
                continue
            assert key not in model.states
            state = "done" if number in self.labelled else "queued"
            assert record.state == state
            model.states[key], model.numbers[key], model.asked[number] = state, number, key

    @rule(campaign=campaigns, limit=st.integers(1, 3), lease=times, owns=st.booleans())
    def claim(self, campaign, limit, lease, owns):
        model = self.models[campaign]
        owner = model.owner if owns else None
        claims = self.do(
            lambda: self.store.claim(model.name, worker="w", limit=limit, lease_seconds=lease, owner=owner)
        )
        if claims is DIED:
            return
        ready = [key for key in model.waiting() if key not in model.patient]
        assert [claim.evaluation_id for claim in claims] == ready[:limit]
        for claim in claims:
            model.states[claim.evaluation_id] = "running"
            self.tries[claim.token] = Try(model, claim.evaluation_id, expired=lease == NOW)

    # -- how attempts end -------------------------------------------------------------------------------------------

    def answered(self, token: str) -> bool:
        """Note an answer in the model; returns whether it counts."""
        attempt = self.tries[token]
        if not attempt.takes_answer():
            return False
        model, key = attempt.campaign, attempt.evaluation
        model.states[key], attempt.state = "done", "done"
        model.patient.discard(key)
        model.cost += 1.0
        self.labelled.add(model.numbers[key])
        return True

    @rule(which=st.lists(recent, min_size=1, max_size=4))
    def complete(self, which):
        tokens = [self.token(w) for w in which]
        if len(tokens) == 1:
            counted = self.do(lambda: [self.store.complete(tokens[0], Make.answer(1.0))])
        else:
            counted = self.do(lambda: self.store.complete_many([(token, Make.answer(1.0)) for token in tokens]))
        if counted is not DIED:
            assert counted == [self.answered(token) for token in tokens]

    @rule(which=recent, again=st.sampled_from([NOW, LATER, None]))
    def fail(self, which, again):
        token = self.token(which)
        attempt = self.tries[token]
        model, key = attempt.campaign, attempt.evaluation
        counted = self.do(lambda: self.store.fail(token, Make.failure(retry_after=again, cost=0.5)))
        if counted is DIED:
            return
        assert counted is (attempt.state == "running" and model.states[key] == "running")
        if counted:
            model.states[key], attempt.state = "failed" if again is not None else "abandoned", "failed"
            model.patient |= {key} if again == LATER else set()
            model.cost += 0.5

    @rule(campaign=campaigns, which=st.lists(recent, min_size=1, max_size=3))
    def lose(self, campaign, which):
        """Give up attempts by their tokens; those of another campaign are not touched."""
        self.give_up(self.models[campaign], {self.token(w) for w in which})

    @rule(campaign=campaigns)
    def expire(self, campaign):
        """Give up attempts whose leases have run out, on the database's clock."""
        self.give_up(self.models[campaign], None)

    def give_up(self, model: Model, named: set[str] | None) -> None:
        touched = self.do(lambda: self.store.reconcile(model.name, lost_tokens=named, max_losses=MAX_LOSSES))
        if touched is DIED:
            return
        lost = [
            attempt
            for token, attempt in self.tries.items()
            if attempt.campaign is model
            and attempt.state == "running"
            and (attempt.expired if named is None else token in named)
        ]
        assert [record.evaluation_id for record in touched] == sorted(attempt.evaluation for attempt in lost)
        for attempt in lost:
            attempt.state = "lost"
            model.lose(attempt.evaluation)

    @rule(campaign=campaigns, named=st.none() | st.lists(st.integers(0, 9), max_size=4), begun=st.booleans())
    def cancel(self, campaign, named, begun):
        """Everything that waits; or of the evaluations named those that wait, and, if asked, those that have begun."""
        model = self.models[campaign]
        ids = None if named is None else sorted({key for i, key in enumerate(sorted(model.states)) if i in named})
        may = {"queued", "failed", "running"} if begun and ids is not None else {"queued", "failed"}
        ends = [key for key, state in model.states.items() if state in may and (ids is None or key in ids)]
        if ids is None or begun:
            gone = self.do(lambda: self.store.cancel(model.name, ids))
        else:
            gone = self.do(lambda: self.store.withdraw(model.name, ids, message="no"))
        if gone is DIED:
            return
        assert gone == (len(ends) if ids is None or begun else sorted(ends))
        model.states |= dict.fromkeys(ends, "cancelled")
        model.patient -= set(ends)
        for attempt in self.tries.values():
            if attempt.campaign is model and attempt.evaluation in ends and attempt.state == "running":
                attempt.state = "cancelled"

    # -- owners -----------------------------------------------------------------------------------------------------

    @rule(campaign=campaigns, lease=times, dead=st.booleans())
    def acquire(self, campaign, lease, dead):
        model = self.models[campaign]
        free = model.owner is None or model.owner_expired or dead
        try:
            token = self.do(
                lambda: self.store.acquire(
                    model.name, host="h", pid=1, lease_seconds=lease, pid_is_dead=lambda *_: dead
                )
            )
        except CampaignOwned:
            assert not free
            return
        if token is not DIED:
            assert free
            model.replaced += [model.owner] if model.owner else []
            model.owner, model.owner_expired = token, lease == NOW

    @rule(campaign=campaigns, which=st.lists(recent, min_size=1, max_size=4, unique=True), lease=times)
    def heartbeat(self, campaign, which, lease):
        """An owner whose lease ran out may still renew it, as long as nobody has taken over."""
        model, named = self.models[campaign], [self.token(w) for w in which]
        if model.owner is None:
            return
        owner = model.owner
        stale = self.do(lambda: self.store.heartbeat(model.name, owner, lease, attempt_tokens=named))
        if stale is DIED:
            return
        own = {t for t in named if self.tries[t].campaign is model and self.tries[t].state == "running"}
        assert stale == [token for token in named if token not in own]
        model.owner_expired = lease == NOW
        for token in own:
            self.tries[token].expired = lease == NOW

    @rule(campaign=campaigns)
    def release(self, campaign):
        model = self.models[campaign]
        owner = model.owner
        if owner is not None and self.do(lambda: self.store.release(model.name, owner)) is not DIED:
            model.replaced.append(owner)
            model.owner = None

    @precondition(lambda self: any(model.replaced for model in self.models.values()))
    @rule(campaign=campaigns, which=st.integers(0, 9))
    def an_owner_that_is_no_more_can_write_nothing(self, campaign, which):
        model, store = self.models[campaign], self.store
        if not model.replaced:
            return
        old, name = model.replaced[which % len(model.replaced)], model.name
        for write in (
            lambda: store.heartbeat(name, old),
            lambda: store.enqueue(name, [Make.decision(9)], required_outputs=["y"], owner=old),
            lambda: store.claim(name, worker="w", owner=old),
            lambda: store.cancel(name, owner=old),
            lambda: store.withdraw(name, sorted(model.states), message="no", owner=old),
            lambda: store.reconcile(name, owner=old, lost_tokens="all"),
            lambda: store.set_state(name, "failed", owner=old),
            lambda: store.add_event(name, "note", "still here", owner=old),
            lambda: store.add_model_version(name, ModelVersionRecord(1, "gp", 0, 0, 0.0), owner=old),
        ):
            with pytest.raises(OwnershipLost):
                write()

    # -- what must hold after every step ----------------------------------------------------------------------------

    @invariant()
    def the_store_agrees_with_the_model(self):
        names = {model.name: model for model in self.models.values()}
        states: dict[str, dict[int, str]] = {name: {} for name in names}
        with self.store.reading() as connection:
            for row in connection.execute(_EVALUATIONS, {"a": self.models["a"].name, "b": self.models["b"].name}):
                states[row.name][row.id] = "poison" if row.failure_class == "poison" else row.state
                assert row.sequence == len(states[row.name]), "they are numbered one by one"
                assert row.labels == (row.state == "done")
            attempts = {
                row.token: row for row in connection.execute(_ATTEMPTS.where(Evaluation.campaign_id >= self.first))
            }
        for name, model in names.items():
            assert states[name] == model.states
        assert {token: row.state for token, row in attempts.items()} == {t: a.state for t, a in self.tries.items()}
        running = {token: row for token, row in attempts.items() if row.state == "running"}
        assert {token: bool(row.expired) for token, row in running.items()} == {
            token: self.tries[token].expired for token in running
        }

    def require_labels_and_costs(self) -> None:
        """What models are fitted to, and what the budget is held against."""
        for model in self.models.values():
            done = [key for key, state in sorted(model.states.items()) if state == "done"]
            assert [label.evaluation_id for label in self.store.label_records(model.name)] == done
            progress = self.store.progress(model.name, {"high": 1.0})
            assert progress.cost == pytest.approx(model.cost)
            assert sum(progress.counts.get("high", {}).values()) == len(model.states)
            running = {
                t for t, attempt in self.tries.items() if attempt.campaign is model and attempt.state == "running"
            }
            assert {claim.token for claim in self.store.claims_of(model.name)} == running


_EVALUATIONS = text(
    "SELECT c.name, e.id, e.sequence, e.state, e.failure_class, "
    "(SELECT COUNT(*) FROM labels l WHERE l.id = e.label_id) AS labels "
    "FROM evaluations e JOIN campaigns c ON c.id = e.campaign_id WHERE c.name IN (:a, :b) ORDER BY e.sequence"
)
_ATTEMPTS = select(Attempt.token, Attempt.state, (Attempt.lease_expires_at <= now()).label("expired")).join(Evaluation)


def test_the_store_is_its_model_whatever_happens_and_wherever_a_process_dies(url, backend):
    long = settings.get_current_profile_name() == "long"
    run(
        lambda: QueueMachine(url),
        settings=settings(
            max_examples=settings.default.max_examples if long else EXAMPLES[backend],
            stateful_step_count=60 if long else 30,
            derandomize=not long,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
