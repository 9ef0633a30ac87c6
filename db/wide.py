"""One wide SQL view per campaign: a row per label, a column per parameter and output.

Names of parameters, outputs and campaigns come from the database and are untrusted: identifiers are quoted by the
dialect's own preparer and values are rendered as literals by SQLAlchemy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, inspect, select, text
from sqlalchemy.sql.elements import quoted_name

from theoros.db.schema import Campaign, Candidate, CandidateValue, Decision, Evaluation, Label, LabelOutput, LabelValue

PREFIX = "labels_wide_"
#: What every row of a wide table begins with, whatever its parameters and outputs.
EVERY_ROW: tuple[Any, ...] = (
    Evaluation.sequence,
    Candidate.text.label("candidate"),
    Evaluation.fidelity,
    Label.cost,
    Evaluation.from_cache,
    Decision.proposer,
    Evaluation.id.label("evaluation_id"),
    Label.id.label("label_id"),
)
FIXED = tuple(str(column.key) for column in EVERY_ROW)
_LONGEST = 60  # bytes; PostgreSQL cuts identifiers at 63


def view_name(connection: Connection, campaign_id: int, name: str) -> str:
    """The name of the campaign's wide view: its slug, with its number where an older campaign has the same slug."""
    slug = _slug(name)
    older = connection.execute(select(Campaign.name).where(Campaign.id < campaign_id)).scalars()
    return f"{PREFIX}{slug}" + (f"_{campaign_id}" if any(_slug(other) == slug for other in older) else "")


def create_labels_wide(connection: Connection, campaign_id: int, name: str) -> str:
    """Make the campaign's wide view anew from the parameters and outputs it has by now; returns the view's name.

    A PostgreSQL role that may not make views leaves the one that stands; `theoros db views` makes it anew.
    """
    view = view_name(connection, campaign_id, name)
    if not _may_create(connection):
        return view
    query = _wide_select(connection, campaign_id).compile(
        dialect=connection.dialect, compile_kwargs={"literal_binds": True}
    )
    quoted = _quote(connection, view)
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {quoted}")
    connection.exec_driver_sql(f"CREATE VIEW {quoted} AS {query}")
    return view


def existing_labels_wide(connection: Connection) -> list[str]:
    """The wide views that the database has."""
    return [name for name in inspect(connection).get_view_names() if name.startswith(PREFIX)]


def drop_all_labels_wide(connection: Connection) -> None:
    """Remove every wide view; `create_all_labels_wide` makes them again."""
    for name in existing_labels_wide(connection):
        connection.exec_driver_sql(f"DROP VIEW {_quote(connection, name)}")


def create_all_labels_wide(connection: Connection) -> None:
    """Make the wide view of every campaign that has labels."""
    labelled = select(Evaluation.campaign_id).where(Evaluation.label_id.is_not(None))
    for campaign_id, name in connection.execute(
        select(Campaign.id, Campaign.name).where(Campaign.id.in_(labelled)).order_by(Campaign.id)
    ).all():
        create_labels_wide(connection, campaign_id, name)


def column_names(wanted: Iterable[str], taken: Iterable[str] = FIXED) -> list[str]:
    """`wanted` made fit to be columns of one table: distinct also when case is ignored, never empty, and short."""
    used = {name.casefold() for name in taken}
    names = []
    for name in wanted:
        base = _cut(name.replace("\x00", "") or "unnamed", _LONGEST - 5)
        candidate, number = base, 2
        while candidate.casefold() in used:
            candidate, number = f"{base}_{number}", number + 1
        used.add(candidate.casefold())
        names.append(candidate)
    return names


def _wide_select(connection: Connection, campaign_id: int) -> Select[tuple[object, ...]]:
    mine = select(Evaluation.label_id).where(Evaluation.campaign_id == campaign_id, Evaluation.label_id.is_not(None))
    candidates = select(Evaluation.candidate_id).where(Evaluation.campaign_id == campaign_id)
    parameters = connection.execute(
        select(CandidateValue.name, func.count(CandidateValue.text))
        .where(CandidateValue.candidate_id.in_(candidates))
        .group_by(CandidateValue.name)
        .order_by(CandidateValue.name)
    ).all()
    outputs = connection.execute(
        select(
            LabelValue.output, LabelValue.position, func.max(LabelValue.position).over(partition_by=LabelValue.output)
        )
        .where(LabelValue.label_id.in_(mine))
        .group_by(LabelValue.output, LabelValue.position)
        .order_by(LabelValue.output, LabelValue.position)
    ).all()
    wanted = [name for name, _ in parameters] + [
        output if last == 0 else f"{output}[{position}]" for output, position, last in outputs
    ]
    names = iter(column_names(wanted))
    columns = []
    for name, texts in parameters:
        value = CandidateValue.text if texts else CandidateValue.number
        subquery = select(value).where(
            CandidateValue.candidate_id == Evaluation.candidate_id, CandidateValue.name == name
        )
        columns.append(subquery.correlate(Evaluation).scalar_subquery().label(_always_quoted(next(names))))
    for output, position, _ in outputs:
        chosen = case((and_(LabelValue.output == output, LabelValue.position == position), LabelValue.value))
        columns.append(func.max(chosen).label(_always_quoted(next(names))))
    keys = (
        Evaluation.id,
        Evaluation.candidate_id,
        Evaluation.sequence,
        Candidate.text,
        Evaluation.fidelity,
        Label.cost,
        Evaluation.from_cache,
        Decision.proposer,
        Label.id,
    )
    return (
        select(*EVERY_ROW, *columns)
        .select_from(Evaluation)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .join(Label, Label.id == Evaluation.label_id)
        .join(LabelOutput, LabelOutput.label_id == Label.id)
        .outerjoin(
            LabelValue, and_(LabelValue.label_id == LabelOutput.label_id, LabelValue.output == LabelOutput.output)
        )
        .outerjoin(Decision, Decision.evaluation_id == Evaluation.id)
        .where(Evaluation.campaign_id == campaign_id)
        .group_by(*keys)
    )


def _may_create(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    asked = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
    return bool(connection.execute(asked).scalar_one())


def _always_quoted(name: str) -> str:
    return quoted_name(name, quote=True)


def _quote(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "campaign"


def _cut(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
