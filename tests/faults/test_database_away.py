"""A database that goes away: nothing is lost, nothing happens twice, and a person is told once."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import psycopg
import pytest

from tests.timing import HANGS
from theoros.db import (
    AnswerRecord,
    CampaignOwned,
    CandidateRecord,
    DecisionRecord,
    FailureRecord,
    ModelVersionRecord,
    OutputValue,
    OwnershipLost,
    Store,
)
from theoros.db import engine as engines
from theoros.db.errors import DatabaseUnreachable
from theoros.orchestrator.gateway import Gateway

pytestmark = pytest.mark.usefixtures("short_pauses")


def decision(number: int) -> DecisionRecord:
    candidate = CandidateRecord(f"hash{number}", "parameters", {"x": number}, f"x={number}")
    return DecisionRecord(candidate, "high", f"oracle/1/{number}/high", "sobol")


def answer(value: float) -> AnswerRecord:
    return AnswerRecord("oracle", "1", {"y": OutputValue(np.array(float(value)))}, 1.0)


def own(store: Store, **fields: Any) -> str:
    return store.acquire("reactor", host="laptop", pid=1, **fields)


async def opened(store: Store, owner: str, notice: Callable[[str], None] | None = None) -> Gateway:
    gateway = Gateway(store, "reactor", owner, notice=notice)
    await gateway.open({"high": 1.0}, "high")
    return gateway


async def work(gateway: Gateway, n: int, slots: int) -> None:
    """Decide, claim and answer, with as many slots, until there are `n` labels."""

    async def slot(number: int) -> None:
        while claims := await gateway.claim([f"slot-{number}"]):
            (claim,) = claims
            await asyncio.sleep(0.01)
            await gateway.complete(claim.token, answer(claim.candidate.data["x"]))

    for first in range(0, n, 10):
        await gateway.enqueue([decision(number) for number in range(first, first + 10)], ["y"])
        await asyncio.gather(*(slot(number) for number in range(slots)))


@pytest.mark.parametrize("how", ["stopped", "killed", "connections ended"])
def test_every_answer_is_stored_and_none_twice_while_the_server_comes_and_goes(server, store, how):
    ended = threading.Event()

    def disturb() -> None:
        while not ended.wait(0.15):
            if how == "connections ended":
                server.end_connections()
            else:
                server.away(server.stop if how == "stopped" else server.kill, 0.4)
                ended.wait(0.5)

    trouble = threading.Thread(target=disturb)
    notices: list[str] = []

    async def campaign() -> None:
        gateway = await opened(store, own(store), notices.append)
        trouble.start()
        await work(gateway, 150, slots=3)
        ended.set()
        await asyncio.to_thread(trouble.join)
        gateway.close()
        assert store.count("reactor", ["queued"]) == 0

    try:
        asyncio.run(asyncio.wait_for(campaign(), HANGS))
    finally:
        ended.set()
        with suppress(RuntimeError):
            trouble.join()
    assert [float(label.values["y"]) for label in store.label_records("reactor")] == list(range(150))
    attempts = store.attempts("reactor")
    assert attempts["state"].tolist() == ["done"] * 150, "no claim was left behind, none was made twice"
    events = store.events("reactor", 1000, kinds=["database_away"])
    assert len(events) <= len([n for n in notices if "back" in n]), "it may be away again where it is to be noted"
    if how != "connections ended":  # a new connection is had at once, and who had none open when it ended notes nothing
        assert events


class Broken:
    """Breaks the connection once, as a transaction is committed: before it happens, or before one hears of it."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self._commit = store, store._engine.dialect.do_commit
        self.when: str | None = None
        monkeypatch.setattr(store._engine.dialect, "do_commit", self)

    def __call__(self, connection: Any) -> None:
        when, self.when = self.when, None
        if when == "after" or when is None:
            self._commit(connection)
        if when is not None:
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_whose_commit_broke_happens_exactly_once(store, monkeypatch, when):
    broken = Broken(store, monkeypatch)
    steps = []

    async def campaign() -> None:
        gateway = await opened(store, own(store))

        async def step(call: Callable[[], Any]) -> Any:
            broken.when = when
            result = await call()
            assert broken.when is None, "the connection was not broken"
            steps.append(result)
            return result

        records = await step(lambda: gateway.enqueue([decision(n) for n in range(4)], ["y"]))
        assert [record.sequence for record in records] == [1, 2, 3, 4]
        ((first,), (second,)) = [await step(lambda: gateway.claim(["slot-0"])) for _ in range(2)]
        assert (first.sequence, second.sequence) == (1, 2)
        assert await step(lambda: gateway.complete(first.token, answer(1.0))) is True
        assert await step(lambda: gateway.fail(second.token, FailureRecord("timeout", "slow", None))) is True
        version = await step(lambda: gateway.add_model_version(ModelVersionRecord(1, "gp", 1, 7, 0.1)))
        assert isinstance(version, int)
        await step(lambda: gateway.event("note", "once"))
        await step(lambda: gateway.heartbeat([]))
        assert await step(gateway.cancel_queued) == 2
        gateway.close()

    asyncio.run(asyncio.wait_for(campaign(), HANGS))
    assert [e.state for e in store.evaluations("reactor")] == ["done", "abandoned", "cancelled", "cancelled"]
    assert len(store.attempts("reactor")) == 2
    assert [event.message for event in store.events("reactor", kinds=["note"])] == ["once"]
    assert len(store.model_versions("reactor")) == 1


def test_a_claim_whose_server_lost_its_power_as_it_was_committed_is_made_again(server, store, monkeypatch):
    """The server forgets it, and gives its number to the next transaction, which is another one's."""
    commit = store._engine.dialect.do_commit
    lost: list[float] = []

    def power_fails(connection: Any) -> None:
        if lost != [0.0]:
            commit(connection)
            return
        lost.append(1.0)
        server.kill()
        connection.dbapi_connection.close()
        threading.Timer(0.2, server.start).start()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def campaign() -> None:
        gateway = await opened(store, own(store))
        await gateway.enqueue([decision(1)], ["y"])
        monkeypatch.setattr(store._engine.dialect, "do_commit", power_fails)
        lost.append(0.0)
        (claim,) = await gateway.claim(["slot-0"])
        assert lost == [0.0, 1.0]
        assert await gateway.complete(claim.token, answer(1.0))
        gateway.close()

    with psycopg.connect(server.url, autocommit=True) as connection:  # nothing reaches the disk before its commit
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    asyncio.run(asyncio.wait_for(campaign(), HANGS))
    assert store.attempts("reactor")["state"].tolist() == ["done"]


def test_the_server_remembers_what_became_of_a_transaction(store):
    with psycopg.connect(store._engine.url.set(drivername="postgresql").render_as_string(False)) as other:
        (number,) = other.execute("SELECT txid_current()").fetchone()
        assert store.fate(number) == "in progress"
        other.rollback()
        assert store.fate(number) == "undone"
        (number,) = other.execute("SELECT txid_current()").fetchone()
        other.commit()
        assert store.fate(number) == "committed"
        assert store.fate(number + 10**6) == "undone", "a server restored from before it never knew it"


def test_an_owner_whose_lease_ran_out_meanwhile_is_the_owner_before_another_can_be(server, store):
    seen: list[str] = []

    async def campaign() -> None:
        gateway = await opened(store, own(store, lease_seconds=0.2), seen.append)
        await gateway.enqueue([decision(1), decision(2)], ["y"])
        (claim,) = await gateway.claim(["slot-0"])
        away = asyncio.create_task(asyncio.to_thread(server.away, server.stop, 1.0))
        await asyncio.sleep(0.5)
        assert (await gateway.record()).name == "reactor", "it reads, and so needs no owner"
        with pytest.raises(CampaignOwned):
            own(store)
        assert await gateway.complete(claim.token, answer(1.0))
        assert len(await gateway.claim(["slot-0"])) == 1
        await away
        gateway.close()

    asyncio.run(asyncio.wait_for(campaign(), HANGS))
    away, back = seen
    assert re.match(r"the database has been away for \d+ s: The ", away)
    assert re.match(r"the database is back after \d+ s", back)
    assert [event.message for event in store.events("reactor", kinds=["database_away"])] == [back]


def test_an_owner_that_was_replaced_meanwhile_finds_out_and_its_answer_counts_all_the_same(server, store):
    async def campaign() -> None:
        gateway = await opened(store, own(store, lease_seconds=0.0))
        await gateway.enqueue([decision(1), decision(2)], ["y"])
        (claim,) = await gateway.claim(["slot-0"])
        await asyncio.to_thread(server.away, server.stop, 0.0)
        own(store)
        assert await gateway.complete(claim.token, answer(1.0))
        with pytest.raises(OwnershipLost):
            await gateway.claim(["slot-0"])
        gateway.close()

    asyncio.run(asyncio.wait_for(campaign(), HANGS))


def test_who_gives_up_no_longer_waits(server, store):
    async def campaign() -> None:
        gateway = await opened(store, own(store))
        await asyncio.to_thread(server.stop)
        waiting = asyncio.create_task(gateway.record())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        gateway.give_up()
        with pytest.raises(DatabaseUnreachable):
            await waiting
        gateway.close()

    try:
        asyncio.run(asyncio.wait_for(campaign(), HANGS))
    finally:
        server.start()


def test_a_sqlite_file_that_another_process_locks_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    database = tmp_path / "t.db"

    async def campaign(store: Store) -> None:
        gateway = await opened(store, own(store))
        other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.7, other.execute, "ROLLBACK")
        assert len(await gateway.enqueue([decision(1)], ["y"])) == 1
        other.close()
        gateway.close()

    with Store(database) as store:
        store.create_campaign("reactor", goal="optimize", spec={}, seed=7)
        asyncio.run(asyncio.wait_for(campaign(store), HANGS))
