"""What a stored campaign's model says, and why its samples were chosen; everything from the database alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.exc import DBAPIError

from theoros.db import CardRecord, Store, StoreError
from theoros.models.contract import FittedSurrogate
from theoros.models.data import Problem
from theoros.models.feasibility import problem_of
from theoros.models.widening import Widening
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.errors import SpaceError
from theoros.orchestrator.agents.beliefs import history
from theoros.orchestrator.earlier import informed, stored_lessons
from theoros.orchestrator.gates import UNFIT, unfit_of
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.seeds import derive
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict
from theoros.workers.modelling import WIDENING


@dataclass(frozen=True)
class Refitted:
    """A campaign's surrogate, fitted anew to all labels that the database has.

    `problem` is the plan's, with one more output where candidates have failed: whether one succeeds.

    `version` is the campaign's last model version, None before the first; `n_labels` are the labels of this fit, which
    may be more than that version saw. `message` is what a person should know of the fit, `widening` how much wider than
    by the model itself its predictions are told.
    """

    plan: Plan
    problem: Problem
    model: FittedSurrogate
    version: int | None
    n_labels: int
    message: str
    widening: Widening


def refitted(store: Store, name: str) -> Refitted:
    """Fit the campaign's surrogate as a resume would. The database holds no models, and needs none.

    Raises SpecError where there are fewer than two labels, or where the campaign's files are gone.
    """
    stored = store.campaign(name).spec
    plan = resolve(spec_from_dict(stored["campaign"]), Path(stored["base"]), begun=True)
    plan = informed(plan, store, stored_lessons(stored))
    labels = store.label_records(name)
    if len(labels) < 2:
        raise SpecError(f"campaign {name!r} has {len(labels)} labels, and a model needs two. Run it first.", ("NAME",))
    from theoros.models.registry import surrogate

    unfit = unfit_of(store.cards(name, UNFIT))
    data, _ = history(labels, store.evaluations(name, ["abandoned"]), plan.problem, unfit)
    problem, seed = problem_of(plan.problem, data), derive(plan.spec.seed, "fit", len(labels))
    versions = store.model_versions(name)
    chosen = versions[-1].surrogate if plan.models.rivals and versions else plan.surrogate
    model = surrogate(chosen, plan.spec.surrogate_options).fit(problem, data, seed=seed)
    number, told = (versions[-1].number, versions[-1].hyperparameters) if versions else (None, {})
    widening = Widening.recorded(told.get(WIDENING))
    return Refitted(plan, problem, model, number, len(labels), model.message, widening)


def parse_candidate(space: Space, text: str) -> Candidate:
    """Read ``"x1=0.3, base=KOH"`` (or a YAML mapping, for values with commas in them), or a SMILES.

    Raises SpecError saying what is allowed.
    """
    data: Any = text.strip()
    if space.kind != "molecule":
        data = _mapping(data)
    try:
        return space.candidate(data)
    except (InvalidCandidate, SpaceError) as error:
        raise SpecError(f"{error}.", ("--what-if",)) from error


def _mapping(text: str) -> dict[str, Any]:
    mend = "Write it as 'x1=0.3, x2=2', or as '{x1: 0.3, x2: 2}'."
    try:
        if text.startswith("{"):
            found = yaml.safe_load(text)
        else:
            parts = [part.partition("=") for part in text.split(",") if part.strip()]
            if not all(sign for _, sign, _ in parts):
                raise SpecError(f"{text!r} is no candidate of parameters. {mend}", ("--what-if",))
            found = {key.strip(): yaml.safe_load(value) for key, _, value in parts}
    except yaml.YAMLError as error:
        raise SpecError(f"{text!r} can't be read: {error}. {mend}", ("--what-if",)) from error
    if not isinstance(found, dict):
        raise SpecError(f"{text!r} is no candidate of parameters. {mend}", ("--what-if",))
    return {str(key): value for key, value in found.items()}


def why(store: Store, name: str, number: int) -> dict[str, Any]:
    """Why the sample `number` was chosen, and what came of it. Needs neither the oracle nor a model.

    JSON data: the candidate, its fidelity and state; ``proposer``, ``acquisition`` with its ``value``, ``reason`` and
    ``seconds`` of the decision; ``model``, the version that decided (None where there was none) with its error on
    labels that it had not seen; ``outputs``, for each what was ``predicted`` (``mean``, ``std``), what was
    ``observed`` and the ``error_in_std``; ``failure``, for one that brought no label. Raises SpecError for a number
    that the campaign does not have.
    """
    evaluation = next((e for e in store.evaluations(name) if e.sequence == number), None)
    if evaluation is None:
        last = max((e.sequence for e in store.evaluations(name)), default=0)
        has = f"It has those from 1 to {last}." if last else "It has none yet."
        raise SpecError(f"campaign {name!r} has no sample {number}. {has}", ("--why",))
    frame = store.decisions(name)
    found = frame[frame["sequence"] == number].to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in found]
    labels = store.label_records(name, of=[evaluation.evaluation_id])
    first = rows[0] if rows else {}
    version = first.get("model_version")
    return {
        "number": number,
        "candidate": evaluation.candidate.text,
        "fidelity": evaluation.fidelity,
        "state": evaluation.state,
        "proposer": first.get("proposer", ""),
        "acquisition": first.get("acquisition", ""),
        "value": _number(first.get("acquisition_value")),
        "reason": first.get("reason", ""),
        "seconds": _number(first.get("seconds")),
        "model": None if _number(version) is None else _model(store, name, int(str(int(float(str(version)))))),
        "outputs": _outputs(rows, dict(labels[0].values) if labels else {}),
        "failure": None if evaluation.failure_class is None else f"{evaluation.failure_class}: {evaluation.message}",
    }


def _model(store: Store, name: str, number: int) -> dict[str, Any]:
    """A model version in a few words."""
    version = next(v for v in store.model_versions(name) if v.number == number)
    return {
        "version": number,
        "surrogate": version.surrogate,
        "n_labels": version.n_labels,
        "fell_back": version.fell_back,
        "error": {score.output: _number(score.value) for score in version.scores if score.metric == "rmse"},
    }


def _outputs(rows: list[dict[str, Any]], values: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """What was predicted of each output and what came."""
    found: dict[str, dict[str, float | None]] = {}
    for row in rows:
        if isinstance(row["output"], str):
            keys = ("predicted_mean", "predicted_std", "observed", "error_in_std")
            found[row["output"]] = dict(
                zip(("mean", "std", "observed", "error_in_std"), (_number(row[key]) for key in keys), strict=True)
            )
    for output, value in values.items():
        if getattr(value, "shape", ()) == ():
            found.setdefault(output, {"mean": None, "std": None, "error_in_std": None})["observed"] = float(value)
    return found


def _number(value: Any) -> float | None:
    """A number that JSON has, or nothing."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def keep_card(url: str, name: str, kind: str, data: Mapping[str, Any], version: int | None) -> str:
    """Keep a diagnostic in the database; returns why it could not be kept, ``""`` when it was.

    Explaining reads through a connection that can't write, so this opens another. Who may only read gets the
    explanation all the same.
    """
    try:
        with Store(url, create=False) as store:
            store.add_card(name, CardRecord(kind, data, version))
    except DBAPIError as error:  # the rights of a role, or of a file
        return str(error.orig).strip()
    except (StoreError, OSError) as error:
        return str(error)
    return ""


def plain(item: Any) -> dict[str, Any]:
    """A dataclass of explanations as JSON data, with text for keys."""
    return {key: _plain(value) for key, value in asdict(item).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
