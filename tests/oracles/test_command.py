"""Any program is an oracle: JSON in, JSON out, and no way for it to outlive or escape its evaluation."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from theoros.oracles import Molecules, Parameters, Real, Resources
from theoros.oracles.check import check_oracle
from theoros.oracles.command import CommandOracle, substituted
from theoros.oracles.failures import (
    BadAnswer,
    DeadlineExceeded,
    InvalidCandidate,
    MissingDependency,
    NotConverged,
    OracleFailure,
)
from theoros.oracles.reference import OracleOptionError, OracleReference

SPACE = Parameters(x=Real(0, 1), y=Real(0, 1))

PROGRAM = """
import json, sys
question = json.load(open(sys.argv[1]))
x, y = question["candidate"]["x"], question["candidate"]["y"]
if x > 0.9:
    sys.exit(3)
print("thinking", file=sys.stderr)
steps = question["settings"].get("steps", 100)
json.dump({"energy": x * x + y, "forces": [[x, y, 0.0], [0.0, 0.0, float(steps)]]}, open(sys.argv[2], "w"))
"""


def make(code: str, *arguments: str, outputs: dict | None = None, space=SPACE, **options) -> CommandOracle:
    return CommandOracle(
        command=[sys.executable, "-c", code, *arguments], space=space, outputs=outputs or {"y": ""}, **options
    )


def ask(oracle: CommandOracle, data=None, fidelity: str = "full"):
    return oracle.evaluate(oracle.space.candidate(data or {"x": 0.5, "y": 0.25}), fidelity)


@pytest.fixture
def reference(tmp_path: Path) -> OracleReference:
    (tmp_path / "program.py").write_text(PROGRAM)
    options = {
        "command": [sys.executable, "{folder}/program.py", "{input}", "{output}"],
        "outputs": {"energy": "eV", "forces": {"unit": "eV/angstrom", "shape": ["atoms", 3]}},
        "fidelities": [{"name": "quick", "cost": 0.1, "settings": {"steps": 10}}, {"name": "full"}],
    }
    return OracleReference("command", options, SPACE.to_dict(), str(tmp_path))


def test_files_carry_the_question_and_the_answer(reference):
    answer = ask(reference.load())
    assert answer.values == {"energy": 0.5, "forces": [[0.5, 0.25, 0.0], [0.0, 0.0, 100.0]]}
    assert ask(reference.load(), fidelity="quick").values["forces"][1][2] == 10


def test_it_keeps_the_contract(reference):
    assert [r for r in check_oracle(reference.load(), reference=reference) if not r.passed] == []


def test_arguments_carry_parameters_exactly():
    oracle = make("import sys; print('chatter'); print(float(sys.argv[1]) - float(sys.argv[2]))", "{x}", "{y}")
    assert ask(oracle, {"x": 0.1 + 0.2, "y": 0.3}).values == {"y": pytest.approx(0.1 + 0.2 - 0.3, abs=1e-12)}


def test_molecules_are_given_as_smiles():
    oracle = make("import sys; print(len(sys.argv[1]))", "{smiles}", space=Molecules())
    assert ask(oracle, "OCC").values == {"y": 3}


def test_the_question_may_come_on_standard_input():
    oracle = make("import json, sys; print(json.load(sys.stdin)['candidate']['x'])", input="stdin")
    assert ask(oracle).values == {"y": 0.5}


def test_the_environment_is_extended():
    assert ask(make("import os; print(os.environ['ANSWER'])", environment={"ANSWER": 42})).values == {"y": 42}


@pytest.mark.parametrize(
    ("code", "failure", "said"),
    [
        ("import sys; sys.exit(3)", NotConverged, "exit code 3: it printed nothing"),
        ("import sys; sys.exit(4)", InvalidCandidate, "exit code 4"),
        ("import sys; print('no licence', file=sys.stderr); sys.exit(1)", OracleFailure, "exit code 1: no licence"),
        ("raise ValueError('why')", OracleFailure, "ValueError: why"),
        ("print('hello')", BadAnswer, "no JSON: 'hello'"),
        ("pass", BadAnswer, "no JSON: ''"),
    ],
)
def test_each_way_of_failing_has_its_class(code, failure, said):
    with pytest.raises(failure, match=said) as caught:
        ask(make(code))
    assert type(caught.value) is failure


def test_exit_codes_are_the_users_to_name():
    with pytest.raises(BadAnswer):
        ask(make("import sys; sys.exit(7)", exit_codes={"7": "bad_answer"}))
    with pytest.raises(OracleFailure) as caught:
        ask(make("import sys; sys.exit(3)", exit_codes={"7": "bad_answer"}))
    assert type(caught.value) is OracleFailure


def test_a_signal_is_a_failure_of_the_program():
    with pytest.raises(OracleFailure, match="exit code -11"):
        ask(make("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))


def test_a_bare_value_is_not_enough_for_several_outputs():
    with pytest.raises(BadAnswer, match="mapping of a, b"):
        ask(make("print(1.0)", outputs={"a": "", "b": ""}))


def test_a_missing_program_is_a_missing_dependency():
    oracle = CommandOracle(command=["a-program-nobody-has"], space=SPACE, outputs={"y": ""})
    with pytest.raises(MissingDependency, match="a-program-nobody-has"):
        ask(oracle)


def test_a_relative_program_lies_in_the_campaigns_folder(tmp_path):
    program = tmp_path / "run.sh"
    program.write_text("#!/bin/sh\necho 7\n")
    program.chmod(0o755)
    assert ask(CommandOracle(command=["./run.sh"], space=SPACE, outputs={"y": ""}, base=tmp_path)).values == {"y": 7}


def test_what_it_prints_reaches_the_evaluations_own_output(capfd):
    ask(make("import sys; print('a word'); print('a warning', file=sys.stderr); print(1.0)"))
    out, err = capfd.readouterr()
    assert "a word" in out
    assert "a warning" in err


def test_a_great_deal_of_output_blocks_nothing():
    assert ask(make("print('x' * 3_000_000); print(2.0)")).values == {"y": 2.0}


def test_the_scratch_folder_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ask(make("import os; open('left.txt', 'w').write('x'); print(1.0)"))
    with pytest.raises(OracleFailure):
        ask(make("raise SystemExit(1)"))
    assert list(tmp_path.iterdir()) == []


def gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


SPAWN = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "w").write(str(child.pid))
"""


def test_at_the_deadline_it_is_killed_with_its_children(tmp_path):
    oracle = make(SPAWN + "time.sleep(60)", str(tmp_path / "pid"))
    oracle.resources = Resources(timeout=1.5)
    start = time.perf_counter()
    with pytest.raises(DeadlineExceeded, match=r"longer than 1\.5 s"):
        ask(oracle)
    assert time.perf_counter() - start < 10
    assert gone(int((tmp_path / "pid").read_text()))


def test_children_that_it_leaves_behind_are_killed_too(tmp_path):
    assert ask(make(SPAWN + "print(1.0)", str(tmp_path / "pid"))).values == {"y": 1.0}
    assert gone(int((tmp_path / "pid").read_text()))


def test_values_are_arguments_and_never_shell_text(tmp_path):
    evil = tmp_path / "evil"
    assert ask(make("import sys; print(len(sys.argv))", f"; touch {evil}", "$(touch " + str(evil) + ")")).values == {
        "y": 3
    }
    assert not evil.exists()


def test_placeholders_are_names_and_nothing_else():
    known = {"x": 0.1, "name": "water", "path": Path("/a")}
    assert substituted("--x={x} {name} {path} {{x}}", known) == "--x=0.1 water /a {x}"
    for attempt in ("{x.__class__}", "{x!r}", "{x:>10}", "{0}", "{}"):
        with pytest.raises(OracleOptionError, match="nothing is called"):
            substituted(attempt, known)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"command": "run {x}"}, ("command",), "not a list"),
        ({"command": []}, ("command",), "not a list"),
        ({"command": ["run", "{z}"]}, ("command", 1), "There are x, y, input"),
        ({"command": ["run", "{ouput}"]}, ("command", 1), "Did you mean {output}"),
        ({"outputs": {}}, ("outputs",), "declares no output"),
        ({"outputs": {"a": 3}}, ("outputs", "a"), "is no output"),
        ({"outputs": {"a": {"shape": "3"}}}, ("outputs", "a", "shape"), "no shape"),
        ({"exit_codes": {"3": "not_convergd"}}, ("exit_codes", "3"), "Did you mean 'not_converged'"),
        ({"exit_codes": {"0": "not_converged"}}, ("exit_codes", "0"), "no exit code"),
        ({"input": "xml"}, ("input",), "unknown"),
        ({"fidelities": [{"cost": 1}]}, ("fidelities", 0), "no level"),
        ({"fidelities": [{"name": "a", "cost": 0}]}, ("fidelities", 0, "cost"), "positive"),
        ({"fidelities": [{"name": "a", "cost": 5}]}, ("fidelities", 0, "cost"), "relative to the last"),
        ({"comand": []}, ("comand",), "Did you mean 'command'"),
    ],
)
def test_a_wrong_option_is_named(reference, change, field, said):
    with pytest.raises(OracleOptionError, match=said) as caught:
        OracleReference("command", {**reference.options, **change}, reference.space, reference.search_path).load()
    assert caught.value.field == field


def test_a_campaign_without_a_space_is_told_to_declare_one(reference):
    with pytest.raises(OracleOptionError, match="Declare the campaign's space"):
        OracleReference("command", reference.options, None, reference.search_path).load()


def test_another_command_is_another_cache_entry():
    one, other = make("print(1)"), make("print(2)")
    assert one.fidelities[0].settings != other.fidelities[0].settings
