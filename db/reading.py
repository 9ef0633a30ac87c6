"""SQL that people write: one statement, on a connection that can only read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, StatementError

from theoros.db.engine import connect_or_explain, open_read_only
from theoros.db.errors import QueryFailed, StoreReadOnly
from theoros.db.frames import frame

if TYPE_CHECKING:
    import pandas as pd

_READ_ONLY_SQLSTATES = frozenset({"25006"})
_REFUSALS = ("not authorized", "readonly database", "multiple commands", "one statement at a time")


def query(url: URL, sql: str, params: Mapping[str, Any] | None, timeout_seconds: float) -> pd.DataFrame:
    """The rows of `sql`; `StoreReadOnly` if it would write, `QueryFailed` with the database's words if it is wrong."""
    engine = open_read_only(url, timeout_seconds=timeout_seconds)
    try:
        with connect_or_explain(engine) as connection:
            return frame(connection, sql, params)
    except DBAPIError as error:
        raise _explained(error, timeout_seconds) from None
    except StatementError as error:
        raise QueryFailed(
            f"The query has a parameter without a value ({error.orig}). A colon before a word marks a parameter. Give "
            "its value in params, or write a literal colon as \\:."
        ) from None
    finally:
        engine.dispose()


def _explained(error: DBAPIError, timeout_seconds: float) -> QueryFailed | StoreReadOnly:
    said = str(error.orig).strip()
    state = getattr(error.orig, "sqlstate", None)
    if state in _READ_ONLY_SQLSTATES or any(words in said for words in _REFUSALS):
        return StoreReadOnly(
            f"The query was refused: a query is one statement, and may only read. The database says: {said}. "
            "Use the commands of theoros to change a campaign."
        )
    if state == "57014" or said == "interrupted":
        return QueryFailed(
            f"The query took longer than {timeout_seconds:g} s and was stopped. Others wait for the database too. "
            "Ask for less, or give timeout_seconds."
        )
    return QueryFailed(f"The query failed. The database says: {said}. Tables and views are listed in docs/database.md.")
