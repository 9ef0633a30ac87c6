"""The ledger is what the database would say, without asking it."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.db.conftest import Make
from theoros.db import Store
from theoros.orchestrator.agents.beliefs import pending_points, seen_candidates, seen_points
from theoros.orchestrator.gateway import Gateway
from theoros.workers.memory import Asked, News

COSTS = {"low": 0.1, "high": 1.0}
_names = itertools.count()

action = st.one_of(
    st.tuples(st.just("decide"), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["low", "high"])), max_size=4)),
    st.tuples(st.just("claim"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["answer", "retry", "abandon", "lose", "abort", "late"]), st.integers(0, 20)),
    st.tuples(st.just("withdraw"), st.lists(st.integers(1, 20), max_size=3)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("ledger") / "ledger.db") as opened:
        yield opened


async def act(gateway: Gateway, tokens: list[str], lost: list[str], what: str, argument) -> None:
    if what == "decide":
        decisions = [
            Make.decision(n, fidelity, cache_key=f"{gateway.campaign}/{n}/{fidelity}") for n, fidelity in argument
        ]
        await gateway.enqueue(decisions, ["y"])
    elif what == "claim":
        tokens += [claim.token for claim in await gateway.claim(["w"] * argument)]
    elif what == "withdraw":
        known = [e.evaluation_id for e in gateway.store.evaluations(gateway.campaign) if e.sequence in argument]
        await gateway.withdraw(known, "changed mind")
    elif what == "late" and lost:
        await gateway.complete(lost[argument % len(lost)], Make.answer(1.0))
    elif tokens and what != "late":
        token = tokens.pop(argument % len(tokens))
        if what == "answer":
            assert await gateway.complete(token, Make.answer(1.0))
        elif what == "lose":
            await gateway.lose(token, 2)
            lost.append(token)
        elif what == "abort":
            evaluation = await gateway.evaluation_of(token)
            assert await gateway.abort(evaluation.evaluation_id, "hopeless", 0.25)
        else:
            await gateway.fail(token, Make.failure(retry_after=0.0 if what == "retry" else None, cost=0.5))


@settings(max_examples=40)
@given(actions=st.lists(action, max_size=30))
def test_whatever_happens_the_ledger_says_what_the_database_says(store, actions):
    name = f"campaign {next(_names)}"
    store.create_campaign(name, goal="learn", spec={}, seed=0)
    owner = store.acquire(name, host="h", pid=1)

    async def work() -> None:
        gateway = Gateway(store, name, owner)
        await gateway.open(COSTS, "high")
        tokens: list[str] = []
        lost: list[str] = []
        reader, read = gateway.reader(), list[int]()
        try:
            for what, argument in actions:
                await act(gateway, tokens, lost, what, argument)
                agrees(store, gateway)
                read += [label.label_id for label in await reader.new()]
            assert sorted(read) == sorted(x.label_id for x in store.label_records(name)), "each label is read once"
        finally:
            gateway.close()

    asyncio.run(work())


def agrees(store: Store, gateway: Gateway) -> None:
    ledger, name = gateway.ledger, gateway.campaign
    evaluations = store.evaluations(name)
    theirs, ours = store.progress(name, COSTS), ledger.progress()
    assert ours.counts == theirs.counts
    assert ours.charged == theirs.charged
    assert ours.cost == pytest.approx(theirs.cost)
    assert ours.committed_cost == pytest.approx(theirs.committed_cost)
    assert ledger.last_sequence == len(evaluations)
    assert [e.sequence for e in ledger.waiting()] == [e.sequence for e in evaluations if e.state == "queued"]
    assert ledger.pending(frozenset()) == pending_points(evaluations, frozenset())
    asked = Asked("high")
    asked.learn(News(0, ledger.asked))
    assert asked.candidates == seen_candidates(evaluations, "high")
    assert asked.points == seen_points(evaluations)


def test_answers_that_wait_for_the_database_are_stored_together_and_told_apart(tmp_path):
    with Store(tmp_path / "t.db") as store:
        store.create_campaign("c", goal="learn", spec={}, seed=0)
        owner = store.acquire("c", host="h", pid=1)
        sizes: list[int] = []
        original = store.complete_many

        def spy(answers):
            sizes.append(len(answers))
            return original(answers)

        store.complete_many = spy  # type: ignore[method-assign]

        async def work():
            gateway = Gateway(store, "c", owner)
            await gateway.open({"high": 1.0}, "high")
            reader = gateway.reader()
            await gateway.enqueue([Make.decision(n) for n in range(12)], ["y"])
            claims = await gateway.claim(["w"] * 12)
            answers = [Make.answer(float("nan") if i == 5 else float(i)) for i in range(12)]
            results = await asyncio.gather(
                *(gateway.complete(c.token, a) for c, a in zip(claims, answers, strict=True)), return_exceptions=True
            )
            labels, again = await reader.new(), await reader.new()
            gateway.close()
            return results, labels, again

        results, labels, again = asyncio.run(work())
        assert [r for r in results if r is not True] == [results[5]]
        assert type(results[5]).__name__ == "AnswerNotFinite"
        assert len(labels) == 11
        assert again == []
        assert sizes == [12, *[1] * 12], "together first, and one by one only because one of them was refused"


def test_what_a_person_answers_meanwhile_is_noticed(tmp_path):
    with Store(tmp_path / "t.db") as store:
        store.create_campaign("c", goal="learn", spec={}, seed=0)
        store.enqueue("c", [Make.decision(1)], required_outputs=["y"])
        (claim,) = store.claim("c", worker="client:me")
        owner = store.acquire("c", host="h", pid=1)

        async def work():
            gateway = Gateway(store, "c", owner)
            await gateway.open({"high": 1.0}, "high")
            assert await gateway.look_outside() == []
            store.complete(claim.token, Make.answer(1.0))
            (ended,) = await gateway.look_outside()
            assert await gateway.look_outside() == []
            labels = await gateway.reader().new()
            gateway.close()
            return ended, labels, gateway.ledger.progress()

        ended, labels, progress = asyncio.run(work())
        assert ended.state == "done"
        assert len(labels) == 1
        assert progress.cost == 1.0


def test_logs_that_are_read_anew_go_on_where_their_readers_are(tmp_path):
    with Store(tmp_path / "t.db") as store:
        store.create_campaign("c", goal="learn", spec={}, seed=0)
        owner = store.acquire("c", host="h", pid=1)

        async def work():
            gateway = Gateway(store, "c", owner)
            await gateway.open({"high": 1.0}, "high")
            await gateway.enqueue([Make.decision(n) for n in range(4)], ["y"])
            tokens = [claim.token for claim in await gateway.claim(["w"] * 4)]
            await gateway.lose(tokens[0], 1)
            await gateway.fail(tokens[3], Make.failure(retry_after=None, cost=0.5))
            failed, asked = list(gateway.ledger.failed), Asked("high")
            asked.learn(News(0, list(gateway.ledger.asked)))
            read = len(gateway.ledger.asked)
            gateway.ledger.settle([], None)
            await gateway.fail(tokens[2], Make.failure(retry_after=None, cost=0.5))
            await gateway.abort((await gateway.evaluation_of(tokens[1])).evaluation_id, "hopeless", 0.25)
            assert await gateway.complete(tokens[0], Make.answer(1.0)), "it was not lost, and is read anew"
            asked.learn(News(read, gateway.ledger.asked[read:]))
            gateway.close()
            return failed, gateway.ledger.failed, asked

        before, after, asked = asyncio.run(work())
        assert [sequence for sequence, _ in before] == [1, 4]
        assert after[:2] == before
        assert [sequence for sequence, _ in after[2:]] == [3]
        evaluations = store.evaluations("c")
        assert asked.candidates == seen_candidates(evaluations, "high")
        assert asked.points == seen_points(evaluations)


def test_what_is_decided_while_the_ledger_is_read_anew_is_in_it(tmp_path):
    with Store(tmp_path / "t.db") as store:
        store.create_campaign("c", goal="learn", spec={}, seed=0)
        owner = store.acquire("c", host="h", pid=1)

        async def work():
            gateway = Gateway(store, "c", owner)
            await gateway.open({"high": 1.0}, "high")
            await gateway.enqueue([Make.decision(0)], ["y"])
            (claim,) = await gateway.claim(["w"])
            await gateway.lose(claim.token, 1)
            gateway.ledger.settle([], None)
            late = asyncio.create_task(gateway.complete(claim.token, Make.answer(1.0)))
            for n in range(1, 12):
                await gateway.enqueue([Make.decision(n)], ["y"])
                assert await gateway.claim(["w"])
            await late
            gateway.close()
            return gateway.ledger

        ledger = asyncio.run(work())
        told = store.progress("c", {"high": 1.0})
        assert (ledger.last_sequence, ledger.progress().counts) == (12, told.counts)
