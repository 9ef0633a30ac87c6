"""A campaign's labels as one wide table, with the units of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from theoros.db import labels
from theoros.db.artifacts import ArtifactStore
from theoros.db.schema import Candidate, Decision, Evaluation, Label, LabelOutput
from theoros.db.wide import EVERY_ROW, FIXED, column_names

if TYPE_CHECKING:
    import pandas as pd


def wide_labels(connection: Connection, campaign_id: int, artifacts: ArtifactStore) -> pd.DataFrame:
    """One row per label: parameters, then outputs (arrays as nested lists); units are in ``.attrs["units"]``."""
    import pandas as pd

    rows = connection.execute(
        select(*EVERY_ROW, Candidate.data)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .join(Label, Label.id == Evaluation.label_id)
        .outerjoin(Decision, Decision.evaluation_id == Evaluation.id)
        .where(Evaluation.campaign_id == campaign_id)
        .order_by(Evaluation.sequence)
    ).all()
    values = labels.outputs_of(connection, [row.label_id for row in rows], artifacts)
    units = units_of(connection, campaign_id)
    parameters = list(
        dict.fromkeys(
            name for row in rows for name, value in row.data.items() if isinstance(value, str | bool | int | float)
        )
    )
    outputs = sorted({output for held in values.values() for output in held})
    columns = column_names([*parameters, *outputs])
    table: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in FIXED}
    for name, column in zip(parameters, columns, strict=False):
        table[column] = [row.data.get(name) for row in rows]
    output_columns = dict(zip(outputs, columns[len(parameters) :], strict=True))
    for output, column in output_columns.items():
        table[column] = [_cell(values[row.label_id].get(output)) for row in rows]
    frame = pd.DataFrame(table)
    frame.attrs["units"] = {column: units.get(output, "") for output, column in output_columns.items()}
    return frame


def units_of(connection: Connection, campaign_id: int) -> dict[str, str]:
    """The unit of each output of the campaign's labels."""
    mine = select(Evaluation.label_id).where(Evaluation.campaign_id == campaign_id, Evaluation.label_id.is_not(None))
    query = select(LabelOutput.output, LabelOutput.unit).where(LabelOutput.label_id.in_(mine)).distinct()
    return {row.output: row.unit for row in connection.execute(query)}


def _cell(array: Any) -> Any:
    if array is None:
        return None
    return float(array) if array.ndim == 0 else array.tolist()
