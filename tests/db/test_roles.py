"""PostgreSQL roles can do their work, and nothing else: the server itself refuses."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import make_url

from theoros.db import Store
from theoros.db.errors import RoleRefused
from theoros.db.migrate import remake_views
from theoros.db.roles import KINDS, grant

pytestmark = pytest.mark.parametrize("backend", ["postgresql"])

ODD = 'a "quoted" 100%; DROP TABLE labels; --'
DDL = (
    "CREATE TABLE mine (x int)",
    "DROP TABLE events",
    "ALTER TABLE labels ADD COLUMN x int",
    "CREATE VIEW mine AS SELECT 1",
    "TRUNCATE events",
    "DROP VIEW labels_long",
)
APPEND_ONLY = (
    "DELETE FROM labels",
    "UPDATE labels SET cost = 0",
    "UPDATE label_values SET value = 0",
    "DELETE FROM label_values",
    "DELETE FROM attempts",
    "DELETE FROM evaluations",
    "UPDATE decisions SET reason = ''",
    "DELETE FROM events",
    "UPDATE cards SET kind = ''",
    "DELETE FROM cards",
    "UPDATE model_versions SET message = ''",
    "DELETE FROM campaigns",
)
OF_OWNERS = (
    "UPDATE campaigns SET state = 'finished'",
    "INSERT INTO campaigns (name, goal, state, spec, seed, created_at) VALUES ('x', 'y', 'created', '{}', 1, now())",
    "UPDATE evaluations SET priority = -1",
    "UPDATE evaluations SET candidate_id = 1",
    "UPDATE attempts SET token = 'stolen'",
    "UPDATE runs SET ended_at = now()",
    "INSERT INTO events (campaign_id, at, kind, message) VALUES (1, now(), 'k', 'm')",
    "UPDATE candidates SET text = ''",
)


@pytest.fixture
def role(url, request):
    """A role of this test alone, under an odd name."""
    name = ODD + str(abs(hash(request.node.nodeid)))[:8]
    quoted = '"' + name.replace('"', '""') + '"'
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {quoted} LOGIN")
    yield name
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {quoted}")
        connection.execute(f"DROP ROLE {quoted}")


def as_role(url, role):
    return make_url(url).set(username=role).render_as_string(hide_password=False)


def refused(url, role, statements):
    with psycopg.connect(url, user=role, autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement)


def test_a_reader_sees_everything_and_can_change_nothing(store, work, make, url, role):
    work.ask(1)
    store.complete(work.claim().token, make.answer(3.0))
    grant(url, "reader", role)
    store.create_labels_wide(work.name)  # after the grant
    refused(
        url, role, (*DDL, *APPEND_ONLY, *OF_OWNERS, "UPDATE runs SET seconds = 1", "SELECT nextval('labels_id_seq')")
    )
    with Store(as_role(url, role), read_only=True) as reader:
        assert reader.labels(work.name)["y"].tolist() == [3.0]
        assert len(reader.query("SELECT * FROM best")) == 1
        assert len(reader.query("SELECT * FROM labels_wide_reactor")) == 1


def test_a_worker_claims_answers_and_fails_and_can_do_nothing_else(store, work, make, url, role, tmp_path):
    token = store.acquire(work.name, host="laptop", pid=1)
    work.ask(1, 2, 3)
    grant(url, "worker", role)
    with Store(as_role(url, role), artifacts=tmp_path / "artifacts") as worker:
        first, second = worker.claim(work.name, worker="w", limit=2, owner=token)
        assert worker.started(first.token, "node1", 5)
        assert worker.heartbeat(work.name, token, attempt_tokens=[first.token, second.token]) == []
        assert worker.complete(first.token, make.answer(2.0, forces=[[1.0] * 3] * 40))
        assert worker.fail(second.token, make.failure(retry_after=None))
        assert [claim.sequence for claim in worker.claims_of(work.name)] == []
    assert [work.state(n) for n in range(3)] == ["done", "abandoned", "queued"]
    refused(url, role, (*DDL, *APPEND_ONLY, *OF_OWNERS))


def test_an_owner_runs_a_campaign_and_can_rewrite_no_history(store, make, url, role):
    grant(url, "owner", role)
    with Store(as_role(url, role)) as owner:
        owner.create_campaign("mine", goal="learn", spec={}, seed=1)
        token = owner.acquire("mine", host="laptop", pid=1)
        owner.set_state("mine", "running", owner=token)
        owner.enqueue(
            "mine", [make.decision(n, predictions=[make.prediction(1, 1)]) for n in range(4)], required_outputs=[]
        )
        (claim,) = owner.claim("mine", worker="w", owner=token)
        owner.complete(claim.token, make.answer(1.0))
        owner.claim("mine", worker="w")
        assert len(owner.reconcile("mine", owner=token, lost_tokens="all")) == 1
        assert owner.cancel("mine", owner=token) == 3
        owner.add_event("mine", "note", "hello", owner=token)
        owner.set_state("mine", "finished", owner=token)
        assert owner.create_labels_wide("mine") == "labels_wide_mine", "which is left to who may make views"
        owner.release("mine", token)
    refused(url, role, (*DDL, *APPEND_ONLY))
    assert remake_views(url) == ["labels_wide_mine"]
    with Store(as_role(url, role), read_only=True) as owner:
        assert len(owner.query("SELECT * FROM labels_wide_mine")) == 1


def test_a_second_grant_replaces_the_first(store, work, url, role):
    for kind in KINDS:
        grant(url, kind, role)
    refused(url, role, (*DDL, *APPEND_ONLY, *OF_OWNERS, "UPDATE evaluations SET state = 'cancelled'"))


def test_a_role_that_cannot_be_limited_is_refused(store, url):
    with pytest.raises(RoleRefused, match="cannot be limited"):
        grant(url, "reader", "postgres")
    with pytest.raises(RoleRefused, match="createuser nobody"):
        grant(url, "reader", "nobody")


def test_sqlite_has_no_roles(tmp_path, backend):
    Store(tmp_path / "t.db").close()
    with pytest.raises(RoleRefused, match="chmod"):
        grant(tmp_path / "t.db", "reader", "me")
