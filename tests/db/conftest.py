"""A fresh store per test on SQLite and on PostgreSQL (embedded, one server per test session)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg
import pytest

from theoros.db import (
    AnswerRecord,
    CandidateRecord,
    DecisionRecord,
    FailureRecord,
    OutputValue,
    PredictionRecord,
    RunInfo,
    Store,
)

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def migrated_postgres(new_postgres_database: Callable[[], str]) -> Callable[[], str]:
    """Makes databases that have been migrated, by copying one that was."""
    template: list[str] = []
    numbers = itertools.count()

    def new() -> str:
        if not template:
            url = new_postgres_database()
            Store(url).close()
            template.append(url)
        base = template[0]
        source = base.split("?", 1)[0].rsplit("/", 1)[1]
        name = f"copy_{next(numbers)}"
        with psycopg.connect(base.replace(f"/{source}?", "/postgres?"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        return base.replace(f"/{source}?", f"/{name}?")

    return new


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database that this test alone uses."""
    if backend == "sqlite":
        return str(tmp_path / "campaigns.db")
    return str(request.getfixturevalue("migrated_postgres")())


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a database in which nothing has been made yet."""
    if backend == "sqlite":
        return str(tmp_path / "empty.db")
    return str(request.getfixturevalue("new_postgres_database")())


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    with Store(url, artifacts=tmp_path / "artifacts") as opened:
        yield opened


@pytest.fixture
def campaign(store: Store) -> str:
    return store.create_campaign("reactor", goal="optimize", spec={"seed": 7}, seed=7).name


class Make:
    """Short ways to say a decision, an answer, a failure."""

    @staticmethod
    def candidate(number: int, **data: Any) -> CandidateRecord:
        return CandidateRecord(f"hash{number}", "parameters", {"x": number / 2, **data}, f"x={number / 2}")

    @classmethod
    def decision(cls, number: int, fidelity: str = "high", **fields: Any) -> DecisionRecord:
        fields.setdefault("candidate", cls.candidate(number))
        fields.setdefault("cache_key", f"oracle/1/hash{number}/{fidelity}")
        fields.setdefault("proposer", "sobol")
        return DecisionRecord(fidelity=fidelity, **fields)

    @staticmethod
    def answer(value: float = 1.0, *, cost: float = 1.0, details: dict[str, Any] | None = None, **outputs: Any) -> Any:
        every = {"y": OutputValue(np.array(float(value)), "eV")}
        every |= {name: OutputValue(np.asarray(array, dtype=float), "eV/A") for name, array in outputs.items()}
        run = RunInfo(host="node1", pid=11, wall_seconds=2.0, cpu_seconds=1.5, max_rss=1 << 33)
        return AnswerRecord("oracle", "1.0", every, cost, run, details or {})

    @staticmethod
    def failure(kind: str = "timeout", retry_after: float | None = 0.0, cost: float = 0.0) -> FailureRecord:
        run = RunInfo(host="node1", pid=11, wall_seconds=3.0, stdout="out", stderr="Traceback\x00")
        return FailureRecord(kind, "it took too long", retry_after, cost, run)

    @staticmethod
    def prediction(mean: float, std: float, output: str = "y") -> PredictionRecord:
        return PredictionRecord(output, mean, std)


@pytest.fixture
def make() -> type[Make]:
    return Make


@pytest.fixture
def work(store: Store, campaign: str, make: type[Make]) -> SimpleNamespace:
    """Acts on one campaign in few words."""

    def ask(*numbers: int, **fields: Any) -> Any:
        return store.enqueue(campaign, [make.decision(n, **fields) for n in numbers], required_outputs=["y"])

    def claim(worker: str = "w", **fields: Any) -> Any:
        claims = store.claim(campaign, worker=worker, **fields)
        return claims[0] if claims else None

    def state(number: int = 0) -> str:
        return store.evaluations(campaign)[number].state

    return SimpleNamespace(ask=ask, claim=claim, state=state, name=campaign)
