"""Model versions with their scores and checks, and the predictions that decisions were made with."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from theoros.db.artifacts import ArtifactStore
from theoros.db.chunks import chunks
from theoros.db.clock import now
from theoros.db.errors import DuplicateModelVersion
from theoros.db.labels import Stored, name_artifacts
from theoros.db.outputs import StoredArray
from theoros.db.records import CheckRecord, ModelVersionRecord, PredictionRecord, ScoreRecord
from theoros.db.schema import Decision, DecisionPrediction, Evaluation, ModelCheck, ModelScore, ModelVersion

#: The key of the column `hyperparameters` under which a version's arrays are named: ``{name: {digest, shape}}``.
ARRAYS = "arrays"


def store_arrays(record: ModelVersionRecord, artifacts: ArtifactStore) -> Stored:
    """Put a version's arrays into the artifact store, before the transaction that names them."""
    return {name: artifacts.put_array(array.read()) for name, array in record.arrays.items()}


def add(connection: Connection, campaign_id: int, record: ModelVersionRecord, stored: Stored) -> int:
    """Append a model version with its scores and checks; returns its row's id. `stored` are its arrays."""
    mine = (ModelVersion.campaign_id == campaign_id, ModelVersion.number == record.number)
    if connection.execute(select(ModelVersion.id).where(*mine)).first():
        raise DuplicateModelVersion(
            f"The campaign has a model version {record.number} already. Versions are never overwritten. "
            "Number the next one after the last of Store.model_versions()."
        )
    name_artifacts(connection, stored.values())
    kept = {name: {"digest": stored[name][0], "shape": list(array.shape)} for name, array in record.arrays.items()}
    version_id = connection.execute(
        insert(ModelVersion)
        .values(
            campaign_id=campaign_id,
            number=record.number,
            surrogate=record.surrogate,
            n_labels=record.n_labels,
            seed=record.seed,
            fit_seconds=record.fit_seconds,
            fell_back=record.fell_back,
            message=record.message,
            hyperparameters=dict(record.hyperparameters) | ({ARRAYS: kept} if kept else {}),
            created_at=now(),
        )
        .returning(ModelVersion.id)
    ).scalar_one()
    if record.scores:
        connection.execute(
            insert(ModelScore),
            [
                {
                    "model_version_id": version_id,
                    "output": score.output,
                    "metric": score.metric,
                    "value": score.value,
                    "n": score.n,
                }
                for score in record.scores
            ],
        )
    if record.checks:
        connection.execute(
            insert(ModelCheck),
            [
                {
                    "model_version_id": version_id,
                    "label_id": check.label_id,
                    "output": check.output,
                    "mean": check.mean,
                    "std": check.std,
                    "observed": check.observed,
                    "tail": check.tail,
                }
                for check in record.checks
            ],
        )
    return version_id


def versions(connection: Connection, campaign_id: int, artifacts: ArtifactStore) -> list[ModelVersionRecord]:
    """The campaign's model versions, the first first."""
    scores: dict[int, list[ScoreRecord]] = {}
    mine = select(ModelVersion.id).where(ModelVersion.campaign_id == campaign_id)
    for row in connection.execute(
        select(ModelScore.model_version_id, ModelScore.output, ModelScore.metric, ModelScore.value, ModelScore.n)
        .where(ModelScore.model_version_id.in_(mine))
        .order_by(ModelScore.output, ModelScore.metric)
    ):
        scores.setdefault(row.model_version_id, []).append(
            ScoreRecord(row.output, row.metric, _number(row.value), row.n)
        )
    checks: dict[int, list[CheckRecord]] = {}
    for check in connection.execute(
        select(
            ModelCheck.model_version_id,
            ModelCheck.label_id,
            ModelCheck.output,
            ModelCheck.mean,
            ModelCheck.std,
            ModelCheck.tail,
            ModelCheck.observed,
        )
        .where(ModelCheck.model_version_id.in_(mine))
        .order_by(ModelCheck.label_id, ModelCheck.output)
    ):
        checks.setdefault(check.model_version_id, []).append(
            CheckRecord(
                check.label_id,
                check.output,
                _number(check.mean),
                _number(check.std),
                _number(check.observed),
                _tail(check.tail),
            )
        )
    query = _version_query().where(ModelVersion.campaign_id == campaign_id).order_by(ModelVersion.number)
    return [
        _version(row, tuple(scores.get(row.id, ())), tuple(checks.get(row.id, ())), artifacts)
        for row in connection.execute(query)
    ]


def last(connection: Connection, campaign_id: int, artifacts: ArtifactStore) -> ModelVersionRecord | None:
    """The campaign's last model version with its scores, without its checks; None before the first."""
    query = _version_query().where(ModelVersion.campaign_id == campaign_id)
    row = connection.execute(query.order_by(ModelVersion.number.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    scores = connection.execute(
        select(ModelScore.output, ModelScore.metric, ModelScore.value, ModelScore.n)
        .where(ModelScore.model_version_id == row.id)
        .order_by(ModelScore.output, ModelScore.metric)
    )
    told = tuple(ScoreRecord(s.output, s.metric, _number(s.value), s.n) for s in scores)
    return _version(row, told, (), artifacts)


def predictions(
    connection: Connection, campaign_id: int, evaluation_ids: Collection[int] | None = None
) -> dict[int, tuple[PredictionRecord, ...]]:
    """What was predicted of each evaluation (or of some) when it was decided, by evaluation id."""
    query = (
        select(
            Decision.evaluation_id,
            DecisionPrediction.output,
            DecisionPrediction.mean,
            DecisionPrediction.std,
            DecisionPrediction.tail,
        )
        .join(Decision, Decision.id == DecisionPrediction.decision_id)
        .join(Evaluation, Evaluation.id == Decision.evaluation_id)
        .where(Evaluation.campaign_id == campaign_id)
        .order_by(Decision.evaluation_id, DecisionPrediction.output)
    )
    queries = [query]
    if evaluation_ids is not None:
        queries = [query.where(Evaluation.id.in_(chunk)) for chunk in chunks(sorted(evaluation_ids))]
    found: dict[int, list[PredictionRecord]] = {}
    for one in queries:
        for row in connection.execute(one):
            belief = PredictionRecord(row.output, _number(row.mean), _number(row.std), _tail(row.tail))
            found.setdefault(row.evaluation_id, []).append(belief)
    return {evaluation_id: tuple(beliefs) for evaluation_id, beliefs in found.items()}


def _version_query() -> Select[Any]:
    return select(
        ModelVersion.id,
        ModelVersion.number,
        ModelVersion.surrogate,
        ModelVersion.n_labels,
        ModelVersion.seed,
        ModelVersion.fit_seconds,
        ModelVersion.fell_back,
        ModelVersion.message,
        ModelVersion.hyperparameters,
    )


def _version(
    row: Row[Any], scores: tuple[ScoreRecord, ...], checks: tuple[CheckRecord, ...], artifacts: ArtifactStore
) -> ModelVersionRecord:
    told = dict(row.hyperparameters)
    arrays = {
        name: StoredArray(artifacts.url, kept["digest"], tuple(kept["shape"]))
        for name, kept in told.pop(ARRAYS, {}).items()
    }
    return ModelVersionRecord(
        number=row.number,
        surrogate=row.surrogate,
        n_labels=row.n_labels,
        seed=row.seed,
        fit_seconds=row.fit_seconds,
        fell_back=row.fell_back,
        message=row.message,
        hyperparameters=told,
        scores=scores,
        checks=checks,
        arrays=arrays,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _tail(value: float | None) -> float:
    return math.inf if value is None else value
