"""Candidates: each is kept once, whoever asked for it, with the scalars of its data for queries."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from theoros.db.chunks import chunks
from theoros.db.records import CandidateRecord
from theoros.db.schema import Candidate, CandidateValue


def keep(connection: Connection, candidates: Sequence[CandidateRecord]) -> dict[str, int]:
    """The ids of candidates by their hashes; those that are new are kept, with the scalars of their data."""
    wanted = {candidate.hash: candidate for candidate in candidates}
    known = _ids(connection, wanted)
    # In the order of their hashes, so that two campaigns that keep the same candidates do not wait for each other.
    new = [wanted[key] for key in sorted(wanted.keys() - known.keys())]
    if not new:
        return known
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = {
        row.hash: row.id
        for row in connection.execute(
            dialect.insert(Candidate)
            .on_conflict_do_nothing(index_elements=["hash"])
            .returning(Candidate.id, Candidate.hash),
            [{"hash": c.hash, "kind": c.kind, "data": c.data, "text": c.text} for c in new],
        )
    }
    values = [
        {"candidate_id": made[c.hash], "name": name, "number": _as_number(value), "text": _as_text(value)}
        for c in new
        if c.hash in made
        for name, value in c.data.items()
        if _is_scalar(value)
    ]
    if values:
        connection.execute(insert(CandidateValue), values)
    missing = [c.hash for c in new if c.hash not in made]  # another campaign kept them between the two statements
    return known | made | _ids(connection, missing)


def _ids(connection: Connection, hashes: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(sorted(hashes)):
        query = select(Candidate.hash, Candidate.id).where(Candidate.hash.in_(chunk))
        found |= {row.hash: row.id for row in connection.execute(query)}
    return found


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | bool | numbers.Real)


def _as_number(value: object) -> float | None:
    if isinstance(value, str) or not isinstance(value, numbers.Real):
        return None
    return float(value) if math.isfinite(value) else None


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None
