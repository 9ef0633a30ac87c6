"""The oracle contract as checks that anyone can run on any oracle before it costs anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from theoros.oracles.candidate import Candidate, content_hash
from theoros.oracles.contract import Answer, Oracle, checked_values
from theoros.oracles.failures import InvalidCandidate, OracleFailure
from theoros.oracles.reference import OracleReference
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Library, Parameters, space_from_dict

#: How many sampled candidates are looked at, and how many are asked until one answers.
SAMPLED, ASKED = 20, 5
#: Two answers of a deterministic oracle may differ by this much, relative to the larger.
REPEATABILITY = 1e-8


@dataclass(frozen=True)
class CheckResult:
    """Whether an oracle keeps one clause of the contract, and what was seen."""

    name: str
    passed: bool
    detail: str


def check_oracle(oracle: Oracle, *, reference: OracleReference | None = None, seed: int = 0) -> list[CheckResult]:
    """Hold an oracle against the contract: one result a clause; asks one candidate, twice, at the cheapest fidelity.

    `reference` is where the oracle came from, when there is one. Nothing is raised: a check that breaks has failed,
    and its detail says how.
    """
    results: list[CheckResult] = []
    for name, check in _static_checks(oracle, reference, np.random.default_rng(seed)):
        results.append(_result(name, check))
    return results + _answer_checks(oracle, np.random.default_rng(seed))


def _result(name: str, check: Callable[[], str]) -> CheckResult:
    """Run a check, which returns what it saw and raises when it fails."""
    try:
        return CheckResult(name, True, check())
    except Exception as error:  # a check of unknown code must survive whatever that code does
        said = str(error) if isinstance(error, _Failed) else f"{type(error).__name__}: {error}"
        return CheckResult(name, False, said)


class _Failed(Exception):
    """A clause is broken; the message says which and how to mend it."""


def _static_checks(
    oracle: Oracle, reference: OracleReference | None, rng: np.random.Generator
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "it has the members of an oracle", lambda: _members(oracle)
    yield "its space survives a round trip through JSON", lambda: _space_round_trip(oracle)
    yield "sampled candidates lie in the space", lambda: _sampled(oracle, rng)
    yield "candidates have stable hashes", lambda: _hashes(oracle, rng)
    yield "an impossible candidate is refused", lambda: _refusal(oracle)
    yield "fidelities are sane", lambda: _fidelities(oracle)
    yield "units can be read", lambda: _units(oracle)
    yield "resources can be granted", lambda: _resources(oracle)
    if reference is not None:
        yield "its reference survives a round trip through JSON", lambda: _reference(reference)


def _members(oracle: Oracle) -> str:
    if not isinstance(oracle, Oracle):
        raise _Failed(f"{type(oracle).__name__} lacks members of the Oracle protocol. Add them.")
    if not oracle.name or not oracle.outputs or not isinstance(oracle.cache_version, str):
        raise _Failed("name, outputs or cache_version is empty or of the wrong type. Declare them.")
    return f"{oracle.name}, version {oracle.cache_version}, outputs {', '.join(oracle.outputs)}"


def _space_round_trip(oracle: Oracle) -> str:
    data = oracle.space.to_dict()
    if space_from_dict(json.loads(json.dumps(data, allow_nan=False))) != oracle.space:
        raise _Failed("the space that to_dict describes is another one. Describe every field.")
    return f"{len(json.dumps(data))} characters"


def _sampled(oracle: Oracle, rng: np.random.Generator) -> str:
    sampled = oracle.space.sample(SAMPLED, rng)
    if not sampled:
        raise _Failed("the space has no candidate to sample. Widen it.")
    if len(set(sampled)) != len(sampled):
        raise _Failed("sample() repeats candidates within one draw. Draw distinct ones.")
    for candidate in sampled:
        oracle.space.check(candidate)
    return f"{len(sampled)} distinct candidates, for example {sampled[0].text}"


def _hashes(oracle: Oracle, rng: np.random.Generator) -> str:
    for candidate in oracle.space.sample(SAMPLED, rng):
        stored = Candidate(candidate.kind, json.loads(json.dumps(candidate.data)))
        if stored.hash != candidate.hash or oracle.space.candidate(candidate.data).hash != candidate.hash:
            raise _Failed(f"{candidate.text} has another hash after a round trip. Round its values.")
    return "the same after JSON and after the space's own candidate()"


def impossible(oracle: Oracle) -> Candidate:
    """A candidate that no space of this oracle's kind can hold."""
    if oracle.space.kind == "molecule":
        return Candidate("molecule", {"smiles": "C(C)(C)(C)(C)(C)C"})
    return Candidate(oracle.space.kind, {"no such parameter": 0})


def _refusal(oracle: Oracle) -> str:
    bad = impossible(oracle)
    try:
        oracle.space.check(bad)
    except InvalidCandidate:
        pass
    else:
        raise _Failed(f"space.check accepts {bad.text}. Raise InvalidCandidate.")
    try:
        oracle.evaluate(bad, oracle.fidelities[0].name)
    except InvalidCandidate as error:
        return str(error)
    except Exception as error:
        raise _Failed(
            f"evaluate raises {type(error).__name__} for {bad.text}: {error}. Raise InvalidCandidate, so that it is "
            "never tried again."
        ) from error
    raise _Failed(f"evaluate answers {bad.text}. Raise InvalidCandidate.")


def _fidelities(oracle: Oracle) -> str:
    levels = oracle.fidelities
    names = [level.name for level in levels]
    if not levels:
        raise _Failed("there are none. Declare at least one Fidelity.")
    if len(set(names)) != len(names):
        raise _Failed(f"the names {names} repeat. Give each level its own.")
    if len({content_hash(dict(level.settings) or level.name) for level in levels}) != len(levels):
        raise _Failed("two levels have the same settings, so they would share cached answers. Tell them apart.")
    if any(not (np.isfinite(level.cost) and level.cost > 0) for level in levels):
        raise _Failed("a cost is not a positive number. Costs are relative to the last level's 1.")
    if levels[-1].cost != 1:
        raise _Failed(f"the last level costs {levels[-1].cost}. It is the truth, and costs 1.")
    return ", ".join(f"{level.name} (cost {level.cost:g})" for level in levels)


def _units(oracle: Oracle) -> str:
    import pint

    units = {name: quantity.unit for name, quantity in oracle.outputs.items()}
    if isinstance(oracle.space, Parameters):
        units |= {name: parameter.unit for name, parameter in oracle.space.parameters.items()}
    elif isinstance(oracle.space, Library):
        units |= dict(oracle.space.units)
    registry: pint.UnitRegistry[float] = pint.UnitRegistry()
    for name, unit in units.items():
        try:
            registry.parse_units(unit.replace("%", "percent"))
        except Exception as error:  # pint raises tokenizer errors too
            raise _Failed(f"the unit {unit!r} of {name} can't be read: {error}. Write a Pint expression.") from error
    return ", ".join(f"{name} [{unit or 'dimensionless'}]" for name, unit in units.items())


def _resources(oracle: Oracle) -> str:
    resources = Resources.model_validate(json.loads(oracle.resources.model_dump_json()))
    if resources != oracle.resources:
        raise _Failed("they differ after a round trip through JSON. Use plain numbers.")
    return f"{resources.num_cpus:g} CPU, {resources.num_gpus:g} GPU, {resources.timeout:g} s"


def _reference(reference: OracleReference) -> str:
    if OracleReference.from_dict(json.loads(json.dumps(reference.to_dict()))) != reference:
        raise _Failed("the options are not plain JSON data. Use text, numbers, lists and mappings.")
    return reference.reference


def _answer_checks(oracle: Oracle, rng: np.random.Generator) -> list[CheckResult]:
    """Ask one candidate at the cheapest fidelity, and the same again of a deterministic oracle."""
    asked: list[tuple[Candidate, Answer]] = []

    def first() -> str:
        candidate, answer, seconds = _ask(oracle, rng)
        asked.append((candidate, answer))
        return f"{candidate.text} took {seconds:.2g} s at {oracle.fidelities[0].name}"

    results = [_result("it answers within its deadline", first)]
    if not asked:
        return results
    candidate, answer = asked[0]

    def declared() -> str:
        values = checked_values(oracle.outputs, answer)
        return ", ".join(
            f"{name} {value.shape}" if value.shape else f"{name}={value:.6g}" for name, value in values.items()
        )

    results.append(_result("its answer keeps the declaration", declared))
    results.append(_result("details are JSON data", lambda: f"{len(json.dumps(dict(answer.details)))} characters"))
    if oracle.deterministic and results[1].passed:
        results.append(_result("the same question has the same answer", lambda: _repeated(oracle, candidate, answer)))
    return results


def _ask(oracle: Oracle, rng: np.random.Generator) -> tuple[Candidate, Answer, float]:
    """The first answer among a few candidates: some may fail for good reasons of their own."""
    failures = []
    for candidate in oracle.space.sample(ASKED, rng):
        start = time.perf_counter()
        try:
            answer = oracle.evaluate(candidate, oracle.fidelities[0].name)
        except OracleFailure as error:
            failures.append(f"{candidate.text}: {error.failure_class}: {error}")
            continue
        seconds = time.perf_counter() - start
        if seconds > oracle.resources.timeout:
            raise _Failed(f"{candidate.text} took {seconds:.1f} s, more than the deadline. Raise resources.timeout.")
        return candidate, answer, seconds
    raise _Failed(f"none of {len(failures)} candidates was answered. {failures[0] if failures else 'There are none.'}")


def _repeated(oracle: Oracle, candidate: Candidate, answer: Answer) -> str:
    first = checked_values(oracle.outputs, answer)
    second = checked_values(oracle.outputs, oracle.evaluate(candidate, oracle.fidelities[0].name))
    for name, value in first.items():
        if not np.allclose(value, second[name], rtol=REPEATABILITY, atol=REPEATABILITY * 1e-3):
            raise _Failed(
                f"{name} was {value} and then {second[name]}. Fix the seed, tighten convergence, or declare the oracle "
                "not deterministic."
            )
    return f"equal within {REPEATABILITY:g}"
