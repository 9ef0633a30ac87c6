"""Making and upgrading databases with Alembic, from the package itself: no alembic.ini, no working directory.

The views for people are dropped before a migration and made anew after it, so they always fit the tables.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from theoros.db.engine import WRITES, connect_or_explain, open_engine, safe_url
from theoros.db.errors import SchemaTooNew, SchemaTooOld
from theoros.db.views import create_views, drop_views
from theoros.db.wide import create_all_labels_wide, drop_all_labels_wide, existing_labels_wide

HEAD = "0005"  # the newest revision in migrations/versions; a test holds the two together
SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_235_419_801  # PostgreSQL advisory lock: two processes that open a new database make it once


def revision_of(connection: Connection) -> str | None:
    """The revision that a database is at; None where Theoros has made nothing yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(engine: Engine) -> None:
    """Bring the database to `HEAD`, from nothing or from an older revision, in one transaction."""
    with connect_or_explain(engine.execution_options(**{WRITES: True})) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = revision_of(connection)
        if found == HEAD:
            return
        _refuse_newer(found, engine)
        if found is not None:
            drop_all_labels_wide(connection)
            drop_views(connection)
        _run_alembic(connection)
        create_views(connection)
        create_all_labels_wide(connection)


def remake_views(url: str | Path) -> list[str]:
    """Make every campaign's wide view anew, for those run by roles that may not; returns the names."""
    engine = open_engine(url, create=False)
    try:
        check(engine)
        with connect_or_explain(engine.execution_options(**{WRITES: True})) as connection, connection.begin():
            create_all_labels_wide(connection)
            return existing_labels_wide(connection)
    finally:
        engine.dispose()


def check(engine: Engine) -> str | None:
    """The database's revision if this Theoros can use it or make it (None); else `SchemaTooOld` or `SchemaTooNew`."""
    with connect_or_explain(engine) as connection:
        found = revision_of(connection)
    if found is None or found == HEAD:
        return found
    _refuse_newer(found, engine)
    raise SchemaTooOld(
        f"The database {safe_url(engine.url)} has schema {found}, and this Theoros needs {HEAD}. It was made by an "
        "older Theoros. Back it up, stop its campaigns, and run: theoros db upgrade"
    )


def upgrade_database(url: str | Path) -> tuple[str | None, str]:
    """Upgrade the database at `url`; returns the revisions before and after."""
    engine = open_engine(url, create=False)
    try:
        with connect_or_explain(engine) as connection:
            before = revision_of(connection)
        upgrade(engine)
    finally:
        engine.dispose()
    return before, HEAD


def _refuse_newer(found: str | None, engine: Engine) -> None:
    if found is not None and found > HEAD:
        raise SchemaTooNew(
            f"The database {safe_url(engine.url)} has schema {found}, and this Theoros knows none after {HEAD}. It was "
            "made by a newer Theoros. Install that: pip install --upgrade theoros"
        )


def _run_alembic(connection: Connection) -> None:
    import logging

    from alembic import command
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database is no news
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
