"""The oracle contract: what can be asked, of whom, at which price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate, content_hash
from theoros.oracles.failures import BadAnswer
from theoros.oracles.resources import Resources
from theoros.oracles.spaces.base import Space

Value = float | NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """An output: its unit (a Pint expression; ``""`` is dimensionless) and shape.

    `shape` is ``()`` for a scalar; a string stands for a length that differs between candidates, as in
    ``("atoms", 3)``.
    """

    unit: str = ""
    shape: tuple[int | str, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Fidelity:
    """One level of an oracle, with its cost relative to the top level's 1.0.

    `settings` is what changes the answers (method, basis, ...) as JSON data. It, and not `name`, enters the cache
    key, so that two campaigns which call the same level by different names share its labels.
    """

    name: str
    cost: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Answer:
    """What an oracle says of a candidate: one value per output, in the declared units.

    `details` is JSON data that a person may want to read later (converged geometry, program version, ...); it is
    stored as provenance and never enters a model.
    """

    values: Mapping[str, Value]
    details: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Oracle(Protocol):
    """Answers candidates. Knows nothing of campaigns, Ray or databases.

    `fidelities` are ordered from cheapest to the truth: the last one is what the user really wants. An oracle is
    built from JSON options in the process that will run it, and is asked one candidate at a time there; `evaluate`
    need not be thread-safe. `cache_version` is raised by its author when answers change; never by a package release.
    """

    name: str
    space: Space
    outputs: Mapping[str, Quantity]
    fidelities: tuple[Fidelity, ...]
    resources: Resources
    deterministic: bool
    cache_version: str

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Answer `candidate` at the level `fidelity`.

        Raises a subclass of `OracleFailure` when it can't; any other exception is recorded as ``oracle_error``.
        """
        ...


def fidelity_of(oracle: Oracle, name: str) -> Fidelity:
    """The fidelity called `name`; raises KeyError naming those there are."""
    for fidelity in oracle.fidelities:
        if fidelity.name == name:
            return fidelity
    raise KeyError(f"oracle {oracle.name!r} has no fidelity {name!r}; it has {[f.name for f in oracle.fidelities]}")


def cache_key(
    oracle: str, cache_version: str, candidate: Candidate, fidelity: Fidelity, options: Mapping[str, Any] | None = None
) -> str:
    """The key under which an answer is shared between the campaigns of one database.

    `options` are further things that tell answers apart, of oracles whose settings may not say them all.
    """
    settings = dict(fidelity.settings) or fidelity.name
    return content_hash([oracle, cache_version, candidate.hash, settings, dict(options or {})])


def checked_values(outputs: Mapping[str, Quantity], answer: Answer) -> dict[str, NDArray[np.float64]]:
    """Hold an answer against its declaration.

    Returns the values as float64 arrays of the declared shapes, scalars as shape ``()``. A Pint quantity is converted
    to the declared unit. Raises BadAnswer naming the output for a missing or undeclared one, a wrong shape, a value
    that is not finite, or one with a unit that does not fit.
    """
    if missing := outputs.keys() - answer.values.keys():
        raise BadAnswer(f"the answer lacks {sorted(missing)}; it has {sorted(answer.values)}")
    if extra := answer.values.keys() - outputs.keys():
        raise BadAnswer(f"the answer has {sorted(extra)}, which the oracle does not declare")
    checked = {}
    for name, quantity in outputs.items():
        try:
            value = np.asarray(_magnitude(answer.values[name], name, quantity.unit), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadAnswer(f"output {name!r} is not a number or an array of numbers: {error}") from None
        named: dict[str, int] = {}
        fits = value.ndim == len(quantity.shape) and all(
            got == want if isinstance(want, int) else named.setdefault(want, got) == got
            for got, want in zip(value.shape, quantity.shape, strict=True)
        )
        if not fits:
            raise BadAnswer(f"output {name!r} has shape {value.shape}; the oracle declares {quantity.shape}")
        if not math.isfinite(float(np.sum(np.abs(value)))):
            raise BadAnswer(f"output {name!r} is not finite")
        checked[name] = value
    return checked


def _magnitude(value: Any, name: str, unit: str) -> Any:
    """The numbers of `value` in `unit`. NumPy would drop the unit of a value that carries its own."""
    own = getattr(value, "units", getattr(value, "unit", None))
    if own is None:
        return value
    if not type(value).__module__.startswith("pint"):
        raise BadAnswer(f"output {name!r} carries the unit {own}. Give plain numbers in {unit or 'no unit'}.")
    try:
        return value.to(unit.replace("%", "percent") or "dimensionless").magnitude
    except Exception as error:  # Pint's own, and those of the tokenizer that it uses
        raise BadAnswer(f"output {name!r} came in {own}; the oracle declares {unit or 'no unit'}: {error}") from None
