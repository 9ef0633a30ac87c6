"""Write `<revision>.sql`, a database with a row of every kind: run once, when a migration is added, and commit it."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import numpy as np

from theoros.db import (
    AnswerRecord,
    CandidateRecord,
    CardRecord,
    CheckRecord,
    DecisionRecord,
    FailureRecord,
    ModelVersionRecord,
    OfferRecord,
    OutputValue,
    ParentRecord,
    PredictionRecord,
    RunInfo,
    ScoreRecord,
    Store,
)
from theoros.db.migrate import HEAD


def decision(number: int) -> DecisionRecord:
    candidate = CandidateRecord(f"hash{number}", "parameters", {"x": number / 2, "base": "KOH"}, f"x={number / 2}")
    return DecisionRecord(
        candidate,
        "high",
        f"oracle/1/hash{number}/high",
        "sobol",
        "ei",
        0.5,
        1,
        [PredictionRecord("y", 0.2, 0.05)],
        offers=[OfferRecord("sobol", 32, 0.25, 0.5, 0.125), OfferRecord("random", 32, 0.01, 0.5, 0.0)],
        parents=[ParentRecord(f"x={number / 2}", "x=-1"), ParentRecord(f"x={number / 2}", "x=-2")],
    )


def fill(store: Store) -> None:
    store.create_campaign("frozen", goal="optimize", spec={"question": {"maximize": "y"}}, seed=7)
    owner = store.acquire("frozen", host="laptop", pid=1)
    store.enqueue("frozen", [decision(number) for number in range(6)], required_outputs=["y"], owner=owner)
    first, second, third, _ = store.claim("frozen", worker="w", limit=4, owner=owner)
    outputs = {"y": OutputValue(np.array(0.1), "eV"), "dipole": OutputValue(np.array([1.0, 2.0, 3.0]), "D")}
    store.complete(first.token, AnswerRecord("oracle", "1.0", outputs, 1.0, RunInfo("node", 2, 1.0), {"code": "4.1"}))
    store.fail(second.token, FailureRecord("not converged", "no minimum", None))
    store.fail(third.token, FailureRecord("timeout", "600 s", 0.0))
    store.cancel("frozen", [store.evaluations("frozen")[5].evaluation_id])
    scores, checks = (ScoreRecord("y", "rmse", 0.1, 1),), (CheckRecord(1, "y", 0.2, 0.05, 0.1),)
    store.add_model_version("frozen", ModelVersionRecord(1, "gp", 1, 7, 0.3, scores=scores, checks=checks))
    store.add_event("frozen", "note", "frozen", {"schema": HEAD})
    store.add_card("frozen", CardRecord("sensitivities", {"x": {"total": 1.0}}, 1))
    store.create_labels_wide("frozen")
    store.release("frozen", owner)
    store.set_state("frozen", "paused", "frozen")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frozen.db"
        with Store(path) as store:
            fill(store)
        connection = sqlite3.connect(path)
        Path(__file__).with_name(f"{HEAD}.sql").write_text("\n".join(connection.iterdump()) + "\n")
        connection.close()


if __name__ == "__main__":
    main()
