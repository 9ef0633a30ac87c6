"""Every mistake in a campaign file is one message with file, field and mend, exit code 2, and nothing has started."""

# ruff: noqa: E501 -- one case a line reads as a table
from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.cli.errors import exit_code

GOOD: dict[str, Any] = {
    "campaign": "test",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 20},
}
MOLECULES: dict[str, Any] = {
    "campaign": "test",
    "question": {"maximize": "gap", "subject to": ["sa_score <= 4"]},
    "space": {"molecules": {"elements": ["C", "N", "O"], "heavy_atoms": "2..7"}},
    "oracle": {"pyscf": {"fidelities": [{"name": "hf", "method": "hf", "basis": "sto-3g"}]}},
    "budget": {"labels": 20},
}


def changed(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy with fields replaced by dotted path (``__`` for a dot); None takes one out."""
    data = copy.deepcopy(base)
    for path, value in fields.items():
        *parents, last = path.split("__")
        inner = data
        for parent in parents:
            inner = inner[parent]
        inner.pop(last, None) if value is None else inner.__setitem__(last, value)
    return data


LEVELS = "oracle__pyscf__fidelities"
# what is wrong, the file's data (or text), the field that the message names, and words of its mend
CASES: list[tuple[str, dict[str, Any] | str, str, str]] = [
    ("malformed YAML", "campaign: test\nquestion: {minimize: [", "", "not valid YAML"),
    ("not a mapping", "- campaign\n- test\n", "", "campaign: my-name"),
    ("a key given twice", "campaign: a\ncampaign: b\n", "", "given twice"),
    ("no question", changed(GOOD, question=None), "question", "question: {maximize: gap}"),
    ("no budget", changed(GOOD, budget=None), "budget", "budget: {labels: 60}"),
    ("an empty budget", changed(GOOD, budget={}), "budget", "at least one limit"),
    ("a misspelt field", changed(GOOD, bugdet={"labels": 3}), "bugdet", "Did you mean 'budget'?"),
    ("a name with spaces", changed(GOOD, campaign="my campaign!"), "campaign", "letters, digits"),
    ("two goals", changed(GOOD, question={"minimize": "value", "maximize": "value"}), "question", "two objectives at once"),
    ("an objective and something to learn", changed(GOOD, question={"minimize": "value", "learn": "value"}), "question", "or one to learn"),
    ("a match without a number", changed(GOOD, question={"match": {"value": "large"}}), "question.match.value", "'2.5 eV'"),
    ("a match in a wrong unit", changed(MOLECULES, question={"match": {"gap": "3 meter"}}), "question.match.gap", "eV"),
    ("worst of one objective", changed(GOOD, question={"minimize": "value", "worst": {"value": 3}}), "question", "several"),
    ("worst of no objective", changed(GOOD, question={"minimize": ["value", "b"], "worst": {"c": 3}}), "question", "no objective"),
    ("noise that is none", changed(GOOD, question={"minimize": "value", "noise": {"value": "a lot"}}), "question.noise.value", "'0.5 eV'"),
    ("negative noise", changed(GOOD, question={"minimize": "value", "noise": {"value": -1}}), "question.noise.value", "zero or more"),
    ("noise in a wrong unit", changed(MOLECULES, question={"maximize": "gap", "noise": {"gap": "3 meter"}}), "question.noise.gap", "eV"),
    ("noise of what nothing reads", changed(MOLECULES, question={"maximize": "gap", "noise": {"energy": 0.1}}), "question.noise.energy", "told of gap"),
    ("noise from an output the oracle lacks", changed(GOOD, question={"minimize": "value", "noise": {"value": "error"}}), "question.noise.value", "It has value"),
    ("noise from the output itself", changed(GOOD, question={"minimize": "value", "noise": {"value": "value"}}), "question.noise.value", "that output itself"),
    ("noise in another unit than the output's", changed(MOLECULES, question={"maximize": "gap", "noise": {"gap": "dipole"}}), "question.noise.gap", "same unit"),
    ("noise that the surrogate can't be told", changed(GOOD, question={"minimize": "value", "noise": {"value": 0.1}}, surrogate="random_forest"), "surrogate", "leave 'noise' out"),
    ("noise beside earlier campaigns", changed(GOOD, question={"minimize": "value", "noise": {"value": 0.1}}, **{"learn from": "older"}), "question.noise", "Leave out 'learn from'"),
    ("a target for several", changed(GOOD, oracle__synthetic__function="BraninCurrin", question={"minimize": ["value_1", "value_2"]}, stop={"target": 1}), "stop.target", "stagnation"),
    ("an acquisition for one objective", changed(GOOD, oracle__synthetic__function="BraninCurrin", question={"minimize": ["value_1", "value_2"]}, acquisition="log_ei"), "acquisition", "log_ehvi"),
    ("an unknown oracle", changed(GOOD, oracle={"pyscff": {}}), "oracle", "pyscf"),
    ("two oracles", changed(GOOD, oracle={"pyscf": {}, "xtb": {}}), "oracle", "one oracle"),
    ("a missing module", changed(GOOD, oracle="nowhere:Oracle"), "oracle", "nowhere"),
    ("an unknown function", changed(GOOD, oracle__synthetic__function="Branni"), "oracle.synthetic.function", "Branin"),
    ("an unknown option", changed(GOOD, oracle__synthetic__noize=1), "oracle.synthetic.noize", "noise"),
    ("an output the oracle lacks", changed(GOOD, question={"minimize": "energy"}), "question.minimize", "value"),
    ("a constraint that is none", changed(GOOD, question={"minimize": "value", "subject to": ["value ~ 3"]}), "question", "NAME <= NUMBER"),
    ("a constraint on nothing", changed(MOLECULES, question={"maximize": "gap", "subject to": ["gapp >= 4 eV"]}), "question.subject to", "gap"),
    ("a unit that does not fit", changed(MOLECULES, question={"maximize": "gap", "subject to": ["gap >= 4 meter"]}), "question.subject to.0", "eV"),
    ("bad bounds", changed(GOOD, space={"parameters": {"x1": {"real": [1.2, 0.8]}}}), "space.parameters.x1.real", "1.2"),
    ("an unknown kind of parameter", changed(GOOD, space={"parameters": {"x1": {"rael": [0, 1]}}}), "space.parameters.x1", "real"),
    ("other parameters than the oracle's", changed(GOOD, space={"parameters": {"y": {"real": [0, 1]}}}), "space", "x1"),
    ("no space for an oracle that has none", changed(GOOD, oracle={"command": {"command": ["true"], "outputs": {"value": ""}}}), "oracle.command.space", "space"),
    ("an unknown basis", changed(MOLECULES, **{LEVELS: [{"name": "hf", "method": "hf", "basis": "def2-svpp"}]}), "oracle.pyscf.fidelities.0.basis", "def2-svp"),
    ("an unknown functional", changed(MOLECULES, **{LEVELS: [{"name": "x", "method": "b3lpy", "basis": "sto-3g"}]}), "oracle.pyscf.fidelities.0.method", "b3lyp"),
    ("an unknown element", changed(MOLECULES, space__molecules__elements=["C", "Xx"]), "space.molecules.elements", "Xx"),
    ("a missing library", changed(MOLECULES, space={"library": {"file": "absent.csv", "smiles": "smiles"}}), "space.library", "absent.csv"),
    ("a budget for no fidelity", changed(MOLECULES, budget={"dft": 10}), "budget.dft", "hf"),
    ("a bad duration", changed(GOOD, budget={"wall_time": "ten minutes"}), "budget.wall_time", "10 min"),
    ("bad memory", changed(GOOD, oracle__synthetic__resources={"memory": "lots"}), "oracle.synthetic.resources.memory", "2 GiB"),
    ("a negative budget", changed(GOOD, budget={"labels": -5}), "budget.labels", "greater than or equal to 1"),
    ("an unknown surrogate", changed(GOOD, surrogate="gpp"), "surrogate", "gp"),
    ("a surrogate for other candidates", changed(GOOD, surrogate="tanimoto_gp"), "surrogate", "parameters"),
    ("an unknown acquisition", changed(GOOD, acquisition="logei"), "acquisition", "log_ei"),
    ("an acquisition for the other goal", changed(GOOD, acquisition="integrated_variance"), "acquisition", "optimize"),
    ("an unknown proposer", changed(GOOD, proposers=["sobl"]), "proposers.0", "sobol"),
    ("a proposer for other candidates", changed(GOOD, proposers=["genetic"]), "proposers.0", "molecule"),
    ("a proposer that is none", changed(GOOD, proposers=["random", 3]), "proposers: number 2, 3", "{genetic: {generations: 30}}"),
    ("a proposer with a number for options", changed(MOLECULES, proposers=[{"genetic": 30}]), "proposers: number 1", "its options"),
    ("two proposers in one", changed(MOLECULES, proposers=[{"genetic": {}, "selfies": {}}]), "proposers: number 1", "one name"),
    ("a proposer with two sets of options", changed(MOLECULES, proposers=["genetic", {"genetic": {"seconds": 3}}]), "proposers: 'genetic'", "name it once"),
    ("an option that a proposer does not have", changed(MOLECULES, proposers=["random", {"genetic": {"generatons": 3}}]), "proposers.1.genetic.generatons", "Did you mean 'generations'?"),
    ("an option out of its range", changed(MOLECULES, proposers=[{"flow3d": {"samples": 0}}]), "proposers.0.flow3d.samples", "greater than or equal to 1 (got 0)"),
    ("a time that is none", changed(MOLECULES, proposers=[{"genetic": {"seconds": "soon"}}]), "proposers.0.genetic.seconds", "10 min"),
    ("options of a proposer that has none", changed(GOOD, proposers=[{"sobol": {"n": 3}}]), "proposers.0", "Leave 'n' out"),
    ("options of nobody", changed(GOOD, proposer_options={"sobol": {"n": 3}}), "proposer_options", "name it there"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "field", "mend"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_mistake_is_one_message_with_file_field_and_mend(data, field, mend, tmp_path):
    file, database = tmp_path / "campaign.yaml", tmp_path / "theoros.db"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    with pytest.raises(Exception) as caught:
        Campaign(file, database)
    message = str(caught.value)
    assert exit_code(caught.value) == 2, repr(caught.value)
    assert message.startswith(f"campaign.yaml: {field}"), message
    assert mend in message
    assert "\n" not in message.strip()
    assert not database.exists(), "nothing may have started"


@pytest.mark.parametrize(
    ("space", "content", "field", "mend"),
    [
        ("molecules", b"CCO\nCC\xe9\n", "space.molecules.file", "line 2 is not UTF-8 text"),
        (
            "molecules",
            b"CCCCCCCCCCCC\n[Fe]\n",
            "space.molecules.file",
            "heavy atoms, allowed are 1..9), 1 (it contains Fe",
        ),
        ("library", b"CCO\nCC\xe9\n", "space.library.file", "line 2 is not UTF-8 text"),
    ],
)
def test_a_file_of_molecules_that_can_not_be_used_is_a_mistake_too(space, content, field, mend, tmp_path):
    (tmp_path / "mine.smi").write_bytes(content)
    data = changed(MOLECULES, space={space: {"file": "mine.smi"}})
    test_a_mistake_is_one_message_with_file_field_and_mend(data, field, mend, tmp_path)


def test_the_good_ones_are_good(tmp_path):
    for number, data in enumerate((GOOD, MOLECULES)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(data))
        assert Campaign(file, tmp_path / "theoros.db").name == "test" or number


def test_the_command_line_prints_the_message_and_exits_with_2(tmp_path):
    file = tmp_path / "campaign.yaml"
    file.write_text(yaml.safe_dump(changed(GOOD, acquisition="logei")))
    done = run_cli("run", str(file), "--database", str(tmp_path / "x.db"))
    assert done.returncode == 2
    assert done.stderr.startswith("theoros: campaign.yaml: acquisition: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "absent.yaml"), "no file"),
        (("top", "test", "--database", "absent.db"), "absent.db"),
        (("resume", "test", "--database", "absent.db"), "absent.db"),
    ],
)
def test_what_is_not_there_is_said(arguments, words, tmp_path):
    done = run_cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "absent.db").exists()


def run_cli(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).parent / "theoros"
    return subprocess.run([str(script), *arguments], capture_output=True, text=True, cwd=cwd, check=False)
