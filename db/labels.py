"""Labels on their way in and out: small outputs are rows, large ones are artifacts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from theoros.db import decisions
from theoros.db.artifacts import NPY, ArtifactStore
from theoros.db.chunks import chunks
from theoros.db.clock import now
from theoros.db.errors import AnswerNotFinite
from theoros.db.outputs import HeldArray, Outputs, StoredArray
from theoros.db.records import AnswerRecord, CandidateRecord, LabelRecord
from theoros.db.schema import Artifact, Attempt, Candidate, Decision, Evaluation, Label, LabelOutput, LabelValue

LARGEST_IN_ROWS = 64

Stored = Mapping[str, tuple[str, int]]  # output -> digest and size of its artifact


def store_large_outputs(answer: AnswerRecord, artifacts: ArtifactStore) -> Stored:
    """Put the arrays of more than 64 elements into the artifact store, before the transaction that names them.

    An answer with NaN or infinity is refused here (`AnswerNotFinite`), before anything of it is kept.
    """
    for output, quantity in answer.outputs.items():
        if not np.isfinite(np.asarray(quantity.value, dtype=np.float64)).all():
            raise AnswerNotFinite(
                f"Output '{output}' of oracle '{answer.oracle}' holds NaN or infinity. A label must be finite, since "
                "models are fitted to it. Report the attempt as failed (class 'not finite')."
            )
    return {
        output: artifacts.put_array(np.asarray(quantity.value, dtype=np.float64))
        for output, quantity in answer.outputs.items()
        if np.size(quantity.value) > LARGEST_IN_ROWS
    }


@dataclass(frozen=True)
class Accepted:
    """An answer that becomes a label: of which candidate, at which fidelity, and where its large arrays are."""

    candidate_id: int
    fidelity: str
    cache_key: str
    answer: AnswerRecord
    stored: Stored


def insert_labels(connection: Connection, accepted: Sequence[Accepted]) -> list[int]:
    """Insert labels with their outputs; returns their ids, in the order given."""
    rows = [
        {
            "candidate_id": item.candidate_id,
            "fidelity": item.fidelity,
            "cache_key": item.cache_key,
            "oracle": item.answer.oracle,
            "oracle_version": item.answer.oracle_version,
            "cost": item.answer.cost,
            "details": dict(item.answer.details),
        }
        for item in accepted
    ]
    made = insert(Label).values(created_at=now()).returning(Label.id, sort_by_parameter_order=True)
    ids = list(connection.execute(made, rows).scalars())
    name_artifacts(connection, [kept for item in accepted for kept in item.stored.values()])
    outputs: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    for label_id, item in zip(ids, accepted, strict=True):
        for output, quantity in item.answer.outputs.items():
            array = np.asarray(quantity.value, dtype=np.float64)
            digest = item.stored[output][0] if output in item.stored else None
            own: dict[str, Any] = {"label_id": label_id, "output": output}
            outputs.append(own | {"unit": quantity.unit, "shape": list(array.shape), "digest": digest})
            if digest is None:
                values += [own | {"position": i, "value": float(value)} for i, value in enumerate(array.ravel())]
    if outputs:
        connection.execute(insert(LabelOutput), outputs)
    if values:
        connection.execute(insert(LabelValue), values)
    return ids


def name_artifacts(connection: Connection, stored: Iterable[tuple[str, int]]) -> None:
    """Note arrays that the artifact store holds, by digest and size; those that are known stay as they are."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    for key, size in sorted(set(stored)):
        connection.execute(
            dialect.insert(Artifact).values(digest=key, size=size, media_type=NPY).on_conflict_do_nothing()
        )


def records(
    connection: Connection, campaign_id: int, artifacts: ArtifactStore, evaluation_ids: Collection[int] | None
) -> list[LabelRecord]:
    """The campaign's labels in the order of their decisions: all (None), or those of some evaluations."""
    query = (
        select(
            Evaluation.id,
            Evaluation.sequence,
            Evaluation.fidelity,
            Evaluation.label_id,
            Evaluation.from_cache,
            Label.cost,
            Candidate.hash,
            Candidate.kind,
            Candidate.data,
            Candidate.text,
            Decision.proposer,
            Decision.acquisition,
            Attempt.wall_seconds,
        )
        .join(Label, Label.id == Evaluation.label_id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .outerjoin(Decision, Decision.evaluation_id == Evaluation.id)
        .outerjoin(Attempt, Attempt.label_id == Evaluation.label_id)
        .where(Evaluation.campaign_id == campaign_id)
    )
    if evaluation_ids is None:
        rows = list(connection.execute(query.order_by(Evaluation.sequence)))
    else:
        rows = [
            row
            for chunk in chunks(sorted(evaluation_ids))
            for row in connection.execute(query.where(Evaluation.id.in_(chunk)))
        ]
        rows.sort(key=lambda row: row.sequence)
    arrays = arrays_of(connection, [row.label_id for row in rows], artifacts)
    offered = decisions.offers(connection, campaign_id, evaluation_ids)
    return [
        LabelRecord(
            label_id=row.label_id,
            evaluation_id=row.id,
            sequence=row.sequence,
            candidate=CandidateRecord(row.hash, row.kind, row.data, row.text),
            fidelity=row.fidelity,
            values=Outputs(arrays[row.label_id]),
            cost=row.cost,
            from_cache=row.from_cache,
            proposer=row.proposer or "",
            acquisition=row.acquisition or "",
            seconds=row.wall_seconds,
            offers=offered.get(row.id, ()),
            arrays=arrays[row.label_id],
        )
        for row in rows
    ]


def outputs_of(
    connection: Connection, label_ids: Sequence[int], artifacts: ArtifactStore
) -> dict[int, dict[str, NDArray[np.float64]]]:
    """The outputs of labels as arrays of their shapes, the large ones read (and checked) from the artifact store."""
    return {
        label_id: {output: array.read() for output, array in arrays.items()}
        for label_id, arrays in arrays_of(connection, label_ids, artifacts).items()
    }


def arrays_of(
    connection: Connection, label_ids: Sequence[int], artifacts: ArtifactStore
) -> dict[int, dict[str, HeldArray | StoredArray]]:
    """The outputs of labels; of those in the artifact store only where they are, so that nothing large is read."""
    found: dict[int, dict[str, HeldArray | StoredArray]] = {label_id: {} for label_id in label_ids}
    for chunk in chunks(sorted(found)):
        numbers: dict[tuple[int, str], list[float]] = {}
        for row in connection.execute(
            select(LabelValue.label_id, LabelValue.output, LabelValue.value)
            .where(LabelValue.label_id.in_(chunk))
            .order_by(LabelValue.label_id, LabelValue.output, LabelValue.position)
        ):
            numbers.setdefault((row.label_id, row.output), []).append(row.value)
        for row in connection.execute(
            select(LabelOutput.label_id, LabelOutput.output, LabelOutput.shape, LabelOutput.digest)
            .where(LabelOutput.label_id.in_(chunk))
            .order_by(LabelOutput.label_id, LabelOutput.output)
        ):
            if row.digest is None:
                flat = numbers.get((row.label_id, row.output), [])
                array: HeldArray | StoredArray = HeldArray(np.array(flat, dtype=np.float64).reshape(row.shape))
            else:
                array = StoredArray(artifacts.url, row.digest, tuple(row.shape))
            found[row.label_id][row.output] = array
    return found
