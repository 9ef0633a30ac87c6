"""The database's own clock, the same on both back ends: leases must not depend on the clocks of many hosts.

Times are UTC with millisecond resolution. SQLite keeps them as text ``YYYY-MM-DD HH:MM:SS.ffffff``, always with six
decimals, so that comparing texts compares times; PostgreSQL keeps ``timestamptz``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, Double, TypeDecorator, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[dt.datetime]):
    """A point in time that is aware and in UTC on the Python side, whatever the back end keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Send UTC; SQLite has no time zones and so gets it naive."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; times in the store are in UTC")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Return UTC with its time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class now(FunctionElement[dt.datetime]):  # noqa: N801  (a SQL function, spelled as one)
    """``now(offset)``: the database's time at this moment (not at the transaction's start), plus `offset` seconds."""

    type = UtcDateTime()
    name = "theoros_now"
    inherit_cache = True

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__(literal(float(offset), Double))


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {offset})) || '000')"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(date_trunc('milliseconds', clock_timestamp()) + ({offset}) * interval '1 second')"


class seconds_between(FunctionElement[float]):  # noqa: N801
    """``seconds_between(earlier, later)``: a duration as plain float seconds, good to a tenth of a millisecond."""

    type = Double()
    name = "theoros_seconds_between"
    inherit_cache = True

    def __init__(self, earlier: ColumnElement[Any] | Any, later: ColumnElement[Any] | Any) -> None:
        super().__init__(earlier, later)


@compiles(seconds_between, "sqlite")
def _seconds_sqlite(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


@compiles(seconds_between, "postgresql")
def _seconds_postgresql(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(extract(epoch FROM ({later} - {earlier})) AS double precision)"
