"""An oracle that keeps its answers beside a table, so that methods which ask the same pay for it once."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Oracle
from theoros.oracles.failures import MissingDependency, OracleFailure

FIELDS = ("question", "level", "molecule", "values", "failure", "seconds")


class RememberedOracle:
    """The answers of `oracle` to `question`, and its failures, looked up in the file `path` or added to it.

    `saved` counts the processor seconds that looked-up answers took when they were first given.
    """

    def __init__(self, oracle: Oracle, path: Path, question: str) -> None:
        self._oracle, self._path, self._question = oracle, path, question
        self.name, self.space, self.outputs = oracle.name, oracle.space, oracle.outputs
        self.fidelities, self.resources = oracle.fidelities, oracle.resources
        self.deterministic, self.cache_version = oracle.deterministic, oracle.cache_version
        self.saved = 0.0
        self._known: dict[tuple[str, str], dict[str, str]] = {}
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["question"] == question]
            self._known = {(row["level"], row["molecule"]): row for row in rows}

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """The oracle's answer; raises OracleFailure where it has none."""
        row = self._known.get((fidelity, candidate.text))
        if row is None:
            row = self._asked(candidate, fidelity)
        else:
            self.saved += float(row["seconds"])
        if row["failure"]:
            raise OracleFailure(row["failure"])
        return Answer({name: np.asarray(value) for name, value in json.loads(row["values"]).items()})

    def _asked(self, candidate: Candidate, fidelity: str) -> dict[str, str]:
        started, values, failure = time.process_time(), dict[str, Any](), ""
        try:
            answer = self._oracle.evaluate(candidate, fidelity)
            values = {name: np.asarray(value).tolist() for name, value in answer.values.items()}
        except MissingDependency:  # says nothing of the molecule
            raise
        except OracleFailure as error:
            failure = f"{error.failure_class}: {error}"
        seconds = f"{time.process_time() - started:.3g}"
        row = dict(
            zip(FIELDS, (self._question, fidelity, candidate.text, json.dumps(values), failure, seconds), strict=True)
        )
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        self._known[fidelity, candidate.text] = row
        return row
