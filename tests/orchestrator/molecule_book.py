"""Campaigns over molecules that are written down rather than run, and a reader of their pages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

from theoros.db import Store
from theoros.db.records import (
    AnswerRecord,
    CandidateRecord,
    DecisionRecord,
    FailureRecord,
    ModelVersionRecord,
    OfferRecord,
    OutputValue,
    ParentRecord,
    PredictionRecord,
    RunInfo,
)
from theoros.models.objective import Objective
from theoros.oracles.candidate import content_hash
from theoros.orchestrator.scorecard import Scorecard

LOGP = Objective("logp")
CARD = Scorecard("optimize", (LOGP,), ("cheap", "true"), (0.1, 1.0), {"logp": "", "tpsa": "angstrom^2"})
ALKANES = ["CCC", "CCCC", "CCCCC", "CCCCCC", "CC(C)C", "CC(C)CC"]
AROMATICS = ["c1ccccc1", "Cc1ccccc1", "Cc1ccccc1C", "CCc1ccccc1", "Oc1ccccc1", "Nc1ccccc1"]


class Book:
    """A campaign that is written into a database without anything being run: labels are properties by RDKit."""

    def __init__(
        self,
        store: Store,
        name: str = "demo",
        card: Scorecard = CARD,
        control_of: str | None = None,
        diversity: Mapping[str, Any] | None = None,
    ) -> None:
        self.store, self.name, self.versions = store, name, 0
        spec: dict[str, Any] = {"scorecard": card.to_dict(), "campaign": {"diversity": diversity} if diversity else {}}
        store.create_campaign(name, goal=card.goal, spec=spec, seed=1, control_of=control_of)

    def model(self, n_labels: int) -> None:
        """One more model version."""
        self.versions += 1
        self.store.add_model_version(
            self.name, ModelVersionRecord(self.versions, "tanimoto_gp", n_labels, seed=1, fit_seconds=0.5)
        )

    def decide(
        self,
        smiles: str,
        proposer: str = "genetic",
        fidelity: str = "true",
        beliefs: Mapping[str, tuple[float, float]] | None = None,
        value: float | None = None,
        reason: str = "",
        text: str | None = None,
        offers: Sequence[OfferRecord] = (),
        parents: Sequence[tuple[str, str]] = (),
    ) -> int:
        """Queue a molecule; returns the number of its evaluation."""
        candidate = CandidateRecord(content_hash(smiles), "molecule", {"smiles": smiles}, text or smiles)
        decision = DecisionRecord(
            candidate,
            fidelity,
            f"{self.name} {smiles}",
            proposer,
            "log_ei" if beliefs else "",
            value,
            self.versions if beliefs else None,
            [PredictionRecord(output, *belief) for output, belief in (beliefs or {}).items()],
            seconds=0.25,
            reason=reason,
            offers=offers,
            parents=[ParentRecord(child, parent) for child, parent in parents],
        )
        (evaluation,) = self.store.enqueue(self.name, [decision], required_outputs=["logp"])
        return evaluation.sequence

    def answer(self, values: Mapping[str, float] | None = None) -> None:
        """Label all that is queued, by RDKit or with `values`, and let a moment pass."""
        for claim in self.store.claim(self.name, worker="w", limit=1000):
            found = dict(values or properties(str(claim.candidate.data["smiles"])))
            outputs = {name: OutputValue(np.array(value), CARD.units.get(name, "")) for name, value in found.items()}
            run = RunInfo(wall_seconds=2.0, cpu_seconds=1.5)
            self.store.complete(claim.token, AnswerRecord("rdkit", "1", outputs, 1.0, run))
        time.sleep(0.003)  # the database's clock counts milliseconds

    def label(self, smiles: str, proposer: str = "genetic", **more: Any) -> int:
        """`decide` and `answer`."""
        number = self.decide(smiles, proposer, **more)
        self.answer()
        return number


def properties(smiles: str) -> dict[str, float]:
    """What the oracle would say; of text that is no molecule that it is as bad as can be."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return {"logp": -99.0, "tpsa": 0.0}
    descriptors: Any = Descriptors
    return {"logp": float(Crippen.MolLogP(molecule)), "tpsa": float(descriptors.TPSA(molecule))}


class Reader(HTMLParser):
    """Reads a page as a browser would: its tags with attributes, its rows of tables, its text; checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def table(self, first: str) -> list[dict[str, str]]:
        """The rows below the heading that begins with the column `first`."""
        start = next(i for i, row in enumerate(self.rows) if row[0] == first)
        columns = self.rows[start]
        body: list[dict[str, str]] = []
        for row in self.rows[start + 1 :]:
            if len(row) != len(columns):
                break
            body.append(dict(zip(columns, row, strict=True)))
        return body


def write_demo(store: Store) -> None:
    """The campaign ``demo`` of fourteen labels by two proposers, with a failure, one that waits, and a control."""
    book = Book(store)
    for smiles in ALKANES:
        book.label(smiles, "molecule_pool", reason="initial design")
    book.model(6)
    for smiles in AROMATICS:
        book.label(smiles, beliefs={"logp": (2.0, 0.5)}, value=0.125, reason="best of 64 proposals")
    book.label("CCCCCCCC", "molecule_pool", fidelity="cheap", beliefs={"logp": (3.0, 0.25)}, value=-1.5)
    book.decide("CCCCCCCO", beliefs={"logp": (1.0, 1.0)})
    (claim,) = store.claim("demo", worker="w")
    store.fail(claim.token, FailureRecord("crash", "the oracle broke", None, 1.0))
    book.label("CCCCCCCC", beliefs={"logp": (3.25, 0.25)}, value=2.5)
    book.decide("CCCCCCCCN")
    control = Book(store, "demo.random", control_of="demo")
    for smiles in ALKANES:
        control.label(smiles, "random")
