"""docs/database.md is true: it names every table, view and column, and its queries run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import inspect

from theoros.db import OfferRecord, ParentRecord
from theoros.db.engine import open_read_only
from theoros.db.schema import Base
from theoros.db.views import VIEWS

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("sql", QUERIES, ids=range(len(QUERIES)))
def test_every_example_runs_and_finds_something(store, work, make, sql):
    assert work.name == "reactor"
    decisions = [
        make.decision(
            number,
            fidelity="lab",
            candidate=make.candidate(number, temperature=70.0),
            predictions=[make.prediction(1.0, 0.5, "yield")],
            model_version=1,
            offers=[OfferRecord("sobol", 32, 0.5, 0.5, 0.25)],
            parents=[ParentRecord(f"x={number / 2}", "x=0.0")] if number else [],
        )
        for number in range(3)
    ]
    store.enqueue(work.name, decisions, required_outputs=["yield"])
    first, second, third = store.claim(work.name, worker="w", limit=3)
    for claim, value in ((first, 1.0), (second, 2.0)):
        store.complete(claim.token, make.answer(0.0, **{"yield": value}))
    store.fail(third.token, make.failure(retry_after=None))
    assert not store.query(sql).empty


@pytest.mark.parametrize("table", [*Base.metadata.tables, *VIEWS])
def test_every_table_and_view_is_listed(table):
    assert f"| `{table}` |" in PAGE


@pytest.mark.parametrize("table", Base.metadata.tables.values(), ids=lambda table: table.name)
def test_every_column_is_listed(table):
    (row,) = re.findall(rf"^\| `{table.name}` \|.*$", PAGE, re.MULTILINE)
    missing = [column.name for column in table.columns if not re.search(rf"\b{column.name}\b", row)]
    assert missing in ([], ["id"])


def test_the_database_has_no_view_that_is_not_listed(store):
    engine = open_read_only(store.url)
    with engine.connect() as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)
    engine.dispose()
