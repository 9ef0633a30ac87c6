"""Any program as an oracle: JSON in, JSON out."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.failures import (
    FAILURES,
    BadAnswer,
    DeadlineExceeded,
    MissingDependency,
    OracleFailure,
)
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Library, Parameters, Space

#: What an argument may name beside the candidate's own parameters.
PLACEHOLDERS = ("input", "output", "scratch", "folder", "fidelity")
DEFAULT_EXIT_CODES = {3: "not_converged", 4: "invalid_candidate"}
#: Characters of the program's own words that a failure quotes, and that are passed on to our output.
QUOTED, PASSED_ON = 2_000, 100_000

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class CommandOracle:
    """Runs `command`, a list of arguments (no shell), once for each candidate, in a fresh scratch folder.

    The candidate is in ``{input}`` (a JSON file ``{"candidate": {...}, "fidelity": ..., "settings": {...}}``; also on
    standard input with ``input: stdin``). The answer is read as JSON from the file ``{output}`` when there is one, else
    from the last line of standard output: a mapping of output names to values, or a bare value of a single output.
    Arguments may also use ``{scratch}``, ``{folder}`` (the campaign's), ``{fidelity}``, ``{smiles}`` for molecules, and
    parameters by name; braces are written doubled.

    Exit code 0 is an answer; `exit_codes` maps others to failure classes (``not_converged``, ``invalid_candidate``,
    ...), and the rest are recorded as ``oracle_error`` with the end of standard error. `outputs` maps names to units or
    to ``{unit, shape, description}``; `fidelities` is a list of ``{name, cost, settings}``, the last one the truth.
    Raise `cache_version` when the program's answers change. Raises OracleOptionError.
    """

    resources = Resources(num_cpus=1)

    def __init__(
        self,
        *,
        command: Sequence[str],
        space: Space,
        outputs: Mapping[str, Any],
        input: str = "json",
        exit_codes: Mapping[int | str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        fidelities: Sequence[Mapping[str, Any]] | None = None,
        deterministic: bool = True,
        cache_version: str = "1",
        name: str = "command",
        base: Path | None = None,
    ) -> None:
        if isinstance(command, str) or not command or not all(isinstance(item, str) for item in command):
            raise OracleOptionError(("command",), "it is not a list of texts. Write [program, argument, ...].")
        if input not in ("json", "stdin"):
            raise OracleOptionError(("input",), f"{input!r} is unknown. Use json (a file) or stdin.")
        self.name, self.space = name, space
        self.deterministic, self.cache_version = deterministic, str(cache_version)
        self.outputs: Mapping[str, Quantity] = _quantities(outputs)
        self._command = tuple(command)
        self._stdin = input == "stdin"
        self._folder = (base or Path.cwd()).resolve()
        self._exit_codes = _exit_codes(exit_codes)
        self._environment = {str(key): str(value) for key, value in (environment or {}).items()}
        units = {output: quantity.unit for output, quantity in self.outputs.items()}
        common = {"command": list(command), "environment": self._environment, "units": units}
        self.fidelities = _fidelities(fidelities, common)
        self._check_placeholders()

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Run the program to its end, or to the deadline, at which it and its children are killed.

        Raises InvalidCandidate, the failure class of the exit code, BadAnswer, DeadlineExceeded, MissingDependency.
        """
        level = fidelity_of(self, fidelity)
        candidate = self.space.candidate(candidate.data)
        with tempfile.TemporaryDirectory(prefix="theoros-") as folder:
            scratch = Path(folder)
            question = {"candidate": candidate.data, "fidelity": level.name, "settings": _own(level)}
            (scratch / "input.json").write_text(json.dumps(question), encoding="utf-8")
            known = {
                **candidate.data,
                "input": scratch / "input.json",
                "output": scratch / "output.json",
                "scratch": scratch,
                "folder": self._folder,
                "fidelity": level.name,
            }
            arguments = [substituted(item, known) for item in self._command]
            if "/" in arguments[0] and not Path(arguments[0]).is_absolute():
                arguments[0] = str(self._folder / arguments[0])
            code = self._run(arguments, scratch)
            stdout, stderr = _tail(scratch / "stdout"), _tail(scratch / "stderr")
            sys.stdout.write(stdout)
            sys.stderr.write(stderr)
            if code:
                kind = FAILURES[self._exit_codes.get(code, OracleFailure.failure_class)]
                said = (stderr or stdout).strip()[-QUOTED:] or "it printed nothing"
                raise kind(f"{Path(arguments[0]).name} ended with exit code {code}: {said}")
            return self._answer(scratch / "output.json", stdout)

    def _run(self, arguments: list[str], scratch: Path) -> int:
        """The exit code; output goes to files of `scratch`, so that no pipe can fill up."""
        with (
            (scratch / "stdout").open("wb") as stdout,
            (scratch / "stderr").open("wb") as stderr,
            (scratch / "input.json").open("rb") as question,
        ):
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=question if self._stdin else subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=scratch,
                    env={**os.environ, **self._environment},
                    process_group=0,
                )
            except (FileNotFoundError, PermissionError) as error:
                raise MissingDependency(
                    f"the program {arguments[0]!r} can't be started: {error.strerror}. Install it where workers run, "
                    "or correct the first item of command."
                ) from None
            try:
                return process.wait(timeout=self.resources.timeout)
            except subprocess.TimeoutExpired:
                raise DeadlineExceeded(f"{arguments[0]} ran longer than {self.resources.timeout:g} s") from None
            finally:
                # After an ordinary end too: children that the program left behind must not outlive the evaluation.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _answer(self, file: Path, stdout: str) -> Answer:
        if file.exists():
            text, where = file.read_text(encoding="utf-8"), "its output file"
        else:
            lines = [line for line in stdout.splitlines() if line.strip()]
            text, where = (lines[-1] if lines else ""), "the last line of its standard output"
        try:
            data = json.loads(text)
        except json.JSONDecodeError:
            raise BadAnswer(f"{where} is no JSON: {text[-QUOTED:]!r}") from None
        if isinstance(data, dict):
            return Answer(data)
        if len(self.outputs) == 1:
            return Answer({next(iter(self.outputs)): data})
        raise BadAnswer(f"{where} has {data!r} where a mapping of {', '.join(self.outputs)} to values is needed")

    def _check_placeholders(self) -> None:
        """Raise OracleOptionError for names that no candidate has; the columns of a library are left to evaluate."""
        own = list(self.space.parameters) if isinstance(self.space, Parameters) else []
        if self.space.kind == "molecule":
            own = ["smiles"]
        for name in set(own) & set(PLACEHOLDERS):
            raise OracleOptionError(("command",), f"the parameter {name!r} is a placeholder of its own. Rename it.")
        names = [*own, *PLACEHOLDERS]
        for i, item in enumerate(self._command):
            for match in _FIELD.finditer(item):
                wanted = match[1]
                if wanted is None or wanted in names or (isinstance(self.space, Library) and not own):
                    continue
                close = difflib.get_close_matches(wanted, names, n=1)
                hint = (
                    f"Did you mean {{{close[0]}}}?" if close else f"There are {', '.join(names)}; double real braces."
                )
                raise OracleOptionError(("command", i), f"nothing is called {{{wanted}}} here. {hint}")


def substituted(argument: str, known: Mapping[str, Any]) -> str:
    """`argument` with each ``{name}`` replaced by the text of what is known by exactly that name.

    Names only: no attributes, indices or formats, so that a campaign file can't reach into our objects.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if match[1] not in known:
            raise OracleOptionError(("command",), f"nothing is called {{{match[1]}}} here. Use {', '.join(known)}.")
        value = known[match[1]]
        return repr(value) if isinstance(value, float) else str(value)

    return _FIELD.sub(replace, argument)


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - PASSED_ON))
        return stream.read().decode("utf-8", errors="replace")


def _own(level: Fidelity) -> dict[str, Any]:
    """The settings that the user gave the level."""
    return dict(level.settings["settings"])


def _quantities(outputs: Mapping[str, Any]) -> dict[str, Quantity]:
    if not isinstance(outputs, Mapping) or not outputs:
        raise OracleOptionError(("outputs",), "it declares no output. Write name: unit.")
    found = {}
    for name, item in outputs.items():
        declared = {"unit": item or ""} if isinstance(item, str | None) else item
        if isinstance(declared, Quantity):
            found[name] = declared
            continue
        if not isinstance(declared, Mapping) or declared.keys() - {"unit", "shape", "description"}:
            raise OracleOptionError(("outputs", name), f"{item!r} is no output. Write a unit, or {{unit, shape}}.")
        shape = declared.get("shape", ())
        if isinstance(shape, str) or not all(isinstance(size, int | str) for size in shape):
            raise OracleOptionError(("outputs", name, "shape"), f"{shape!r} is no shape. Write for example [atoms, 3].")
        found[name] = Quantity(str(declared.get("unit", "")), tuple(shape), str(declared.get("description", "")))
    return found


def _exit_codes(given: Mapping[int | str, str] | None) -> dict[int, str]:
    codes: dict[int, str] = {}
    for code, kind in (DEFAULT_EXIT_CODES if given is None else given).items():
        if kind not in FAILURES:
            close = difflib.get_close_matches(str(kind), FAILURES, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(FAILURES)}."
            raise OracleOptionError(("exit_codes", str(code)), f"{kind!r} is no class of failure. {hint}")
        if not str(code).isdecimal() or not 0 < int(code) < 256:
            raise OracleOptionError(("exit_codes", str(code)), f"{code!r} is no exit code of a failure. Use 1 to 255.")
        codes[int(code)] = kind  # JSON makes text of keys
    return codes


def _fidelities(given: Sequence[Mapping[str, Any]] | None, common: Mapping[str, Any]) -> tuple[Fidelity, ...]:
    levels = []
    for i, item in enumerate(given or [{"name": "full"}]):
        if (
            not isinstance(item, Mapping)
            or "name" not in item
            or item.keys() - {"name", "cost", "settings", "description"}
        ):
            raise OracleOptionError(("fidelities", i), f"{item!r} is no level. Write {{name, cost, settings}}.")
        cost = item.get("cost", 1.0)
        if not isinstance(cost, int | float) or not cost > 0:
            raise OracleOptionError(("fidelities", i, "cost"), f"{cost!r} is no cost. Give a positive number.")
        own = dict(cast(Mapping[str, Any], item.get("settings") or {}))
        settings = {**common, "settings": own, "level": str(item["name"])}
        levels.append(Fidelity(str(item["name"]), float(cost), settings, str(item.get("description", ""))))
    if levels[-1].cost != 1:
        raise OracleOptionError(
            ("fidelities", len(levels) - 1, "cost"), "costs are relative to the last level. Give it 1."
        )
    return tuple(levels)
