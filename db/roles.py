"""PostgreSQL roles with no more rights than their work needs.

- *reader*: SELECT on tables and views, so that no query of theirs can change anything, whatever its transaction says.
- *worker*: what claiming, starting, answering, failing and a heartbeat write, column by column; no DELETE at all, and
  no UPDATE on what is append-only.
- *owner*: runs campaigns: INSERT everywhere, UPDATE where rows change by design (campaigns, runs, evaluations,
  attempts); no DELETE, no UPDATE on what is append-only, no DDL.

Tables are made and upgraded by the role that owns them, which grants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import Connection, text

from theoros.db import migrate
from theoros.db.engine import WRITES, connect_or_explain, open_engine, safe_url
from theoros.db.errors import DatabaseNotFound, RoleRefused
from theoros.db.schema import Attempt, Base, Evaluation, Run
from theoros.db.transactions import explaining

Kind = Literal["owner", "worker", "reader"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CHANGING = ("campaigns", "runs", "evaluations", "attempts")
_WORKER_INSERTS = ("attempts", "labels", "label_outputs", "label_values", "artifacts")
_ATTEMPT_IDENTITY = {"id", "evaluation_id", "number", "token", "worker", "claimed_at", "wait_seconds"}
_WORKER_UPDATES: Mapping[str, tuple[str, ...]] = {
    Evaluation.__tablename__: ("state", "attempts", "not_before", "ended_at", "label_id", "failure_class", "message"),
    Attempt.__tablename__: tuple(c.name for c in Attempt.__table__.columns if c.name not in _ATTEMPT_IDENTITY),
    Run.__tablename__: ("heartbeat_at", "lease_expires_at", "seconds"),
}


def grant(url: str | Path, kind: Kind, role: str) -> list[str]:
    """Give the existing `role` the rights of `kind`, and take all others that it has here; returns what was granted.

    Raises `RoleRefused` on SQLite, for a role that does not exist, and for one that no grant can limit.
    """
    engine = open_engine(url, create=False)
    try:
        if engine.dialect.name != "postgresql":
            raise RoleRefused(
                f"The database {safe_url(engine.url)} has no roles. SQLite knows only the permissions of its file. "
                "Use chmod, or PostgreSQL."
            )
        if migrate.check(engine) is None:
            raise DatabaseNotFound(
                f"The database {safe_url(engine.url)} has no tables of Theoros yet, so there is nothing to grant. "
                "Make them with: theoros db upgrade"
            )
        with (
            explaining(engine),
            connect_or_explain(engine.execution_options(**{WRITES: True})) as connection,
            connection.begin(),
        ):
            _require_grantable(connection, role)
            _revoke_all(connection, role)
            granted = [*_statements(connection, kind, _quote(connection, role))]
            for statement in granted:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
    return granted


def _statements(connection: Connection, kind: Kind, role: str) -> Iterator[str]:
    schema = _quote(connection, connection.execute(text("SELECT current_schema()")).scalar_one())
    database = _quote(connection, connection.execute(text("SELECT current_database()")).scalar_one())
    yield f"GRANT CONNECT ON DATABASE {database} TO {role}"
    yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"  # and views
    yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"  # views still to come
    if kind == "owner":
        for table in Base.metadata.sorted_tables:
            rights = "INSERT, UPDATE" if table.name in _CHANGING else "INSERT"
            yield f"GRANT {rights} ON {schema}.{_quote(connection, table.name)} TO {role}"
        yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
    elif kind == "worker":
        for name in _WORKER_INSERTS:
            yield f"GRANT INSERT ON {schema}.{_quote(connection, name)} TO {role}"
        for name, columns in _WORKER_UPDATES.items():
            listed = ", ".join(_quote(connection, column) for column in columns)
            yield f"GRANT UPDATE ({listed}) ON {schema}.{_quote(connection, name)} TO {role}"
        for name in ("attempts", "labels"):
            sequence = connection.execute(text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": name})
            yield f"GRANT USAGE ON SEQUENCE {sequence.scalar_one()} TO {role}"  # quoted by the server


def _require_grantable(connection: Connection, role: str) -> None:
    found = connection.execute(
        text("SELECT rolsuper, rolname = current_user AS me FROM pg_roles WHERE rolname = :role"), {"role": role}
    ).one_or_none()
    if found is None:
        raise RoleRefused(
            f"The server has no role '{role}'. Theoros makes none, since their passwords are yours to choose. "
            f"Make it with: createuser {role}"
        )
    owns = text(
        "SELECT 1 FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner "
        "WHERE c.relname = 'campaigns' AND c.relnamespace = current_schema()::regnamespace AND r.rolname = :role"
    )
    if found.rolsuper or found.me or connection.execute(owns, {"role": role}).first():
        raise RoleRefused(
            f"The role '{role}' cannot be limited: it is a superuser, or owns Theoros's tables. Such a role can do "
            "everything, whatever is granted. Make another for daily use, and keep this one for upgrades."
        )


def _revoke_all(connection: Connection, role: str) -> None:
    name = _quote(connection, role)
    schema = _quote(connection, connection.execute(text("SELECT current_schema()")).scalar_one())
    for what in ("TABLES", "SEQUENCES"):
        connection.exec_driver_sql(f"REVOKE ALL ON ALL {what} IN SCHEMA {schema} FROM {name}")
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA {schema} FROM {name}")
    connection.exec_driver_sql(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")  # as PostgreSQL 15 and later do anyway


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
