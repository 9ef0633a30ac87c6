"""A database is made and upgraded by its migrations alone."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from theoros.db import Store, upgrade_database
from theoros.db import migrate as migrations
from theoros.db.engine import open_engine
from theoros.db.errors import DatabaseNotFound, SchemaTooNew, SchemaTooOld
from theoros.db.schema import Base

FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.sql"))


def test_what_the_migrations_make_is_what_the_models_say(empty_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    Store(empty_url).close()
    engine = open_engine(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_head_that_the_code_knows_is_the_last_script():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations.SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_two_processes_that_open_a_new_database_make_it_once(empty_url):
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: Store(empty_url), range(2)))
    stores[0].create_campaign("one", goal="learn", spec={}, seed=0)
    assert stores[1].campaign("one").name == "one"
    for store in stores:
        store.close()


def set_revision(url: str, revision: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


def test_an_older_database_is_refused_with_the_command_that_upgrades_it(store, url):
    set_revision(url, "0000")
    with pytest.raises(SchemaTooOld, match="theoros db upgrade"):
        Store(url)


def test_a_newer_database_is_refused_with_the_command_that_upgrades_theoros(store, url):
    set_revision(url, "9999")
    with pytest.raises(SchemaTooNew, match="pip install --upgrade theoros"):
        Store(url)
    with pytest.raises(SchemaTooNew):
        upgrade_database(url)


def test_upgrading_a_current_database_changes_nothing(store, url, campaign):
    assert upgrade_database(url) == (migrations.HEAD, migrations.HEAD)
    assert store.campaign(campaign).name == campaign


def test_a_database_that_was_not_to_be_made_is_not_made(backend, empty_url):
    with pytest.raises(DatabaseNotFound):
        Store(empty_url, create=False)
    with pytest.raises(DatabaseNotFound):
        Store(empty_url, read_only=True)
    assert backend != "sqlite" or not Path(empty_url).exists()


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
def test_a_frozen_database_of_every_schema_is_upgraded_and_read(frozen, tmp_path):
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(frozen.read_text())
    connection.close()
    assert upgrade_database(path) == (frozen.stem, migrations.HEAD)
    with Store(path) as store:
        campaign = store.campaign("frozen")
        assert (campaign.goal, campaign.state, campaign.seed) == ("optimize", "paused", 7)
        states = [record.state for record in store.evaluations("frozen")]
        assert states == ["done", "abandoned", "failed", "running", "queued", "cancelled"]
        (label,) = store.label_records("frozen")
        assert float(label.values["y"]) == 0.1
        assert label.values["dipole"].tolist() == [1.0, 2.0, 3.0]
        assert store.model_versions("frozen")[0].checks[0].observed == 0.1
        assert len(store.reconcile("frozen", lost_tokens="all")) == 1
        assert store.claim("frozen", worker="w", limit=9)
        assert store.query("SELECT * FROM labels_wide_frozen")["y"].tolist() == [0.1]


def test_there_is_a_frozen_database_of_the_present_schema():
    assert FROZEN[-1].stem == migrations.HEAD
