"""A reference builds the same oracle in any process, and every wrong option is named."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest

from theoros.oracles import Parameters, Real, Resources
from theoros.oracles.reference import OracleOptionError, OracleReference

MODULE = '''
from pathlib import Path
from pydantic import BaseModel, ConfigDict
from theoros.oracles import Answer, Fidelity, Parameters, Quantity, Real, Resources, Space, oracle

SPACE = Parameters(x=Real(0, 1))

class Level(BaseModel):
    model_config = ConfigDict(extra="forbid")
    basis: str
    cycles: int = 10

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    fidelities: list[Level]

class Plain:
    """Keeps what it was given."""
    name = "plain"
    outputs = {"a": Quantity(), "b": Quantity()}
    fidelities = (Fidelity("full"),)
    resources = Resources(num_cpus=2, timeout=60)
    deterministic = True
    cache_version = "1"

    def __init__(self, *, tolerance: float, label: str = "none", space: Space | None = None, base: Path | None = None,
                 outputs: list[str] | None = None):
        if tolerance < 0:
            raise ValueError(f"tolerance {tolerance} is negative. Give a positive one.")
        self.tolerance, self.label, self.base, self.asked = tolerance, label, base, outputs
        self.space = space or SPACE

    def evaluate(self, candidate, fidelity):
        return Answer({"a": 1.0, "b": 2.0})

class Validated(Plain):
    def __init__(self, *, fidelities: list):
        Options(fidelities=fidelities)
        super().__init__(tolerance=0.0)

class Open(Plain):
    def __init__(self, **options):
        super().__init__(tolerance=0.0)
        self.options = options

class Granted(Plain):
    def __init__(self, *, resources: Resources = Resources(num_cpus=4, timeout=30)):
        super().__init__(tolerance=0.0)
        self.granted = resources

class NoOracle:
    def __init__(self):
        self.name = "nothing"

@oracle(space=SPACE, outputs={"y": "eV"}, resources=Resources(num_cpus=2, timeout=60))
def parabola(x):
    return x * x

NUMBER = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "reference_example.py").write_text(MODULE)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "reference_example", raising=False)
    return str(tmp_path)


def load(folder: str, name: str, options: dict | None = None, **more):
    return OracleReference(f"reference_example:{name}", options or {}, search_path=folder, **more).load()


def test_a_class_is_given_the_options_and_what_the_campaign_says(folder):
    space = Parameters(x=Real(0, 0.5))
    built = load(folder, "Plain", {"tolerance": 0.1}, space=space.to_dict(), outputs=("a",))
    assert (built.tolerance, built.label, built.space, built.base, built.asked) == (
        0.1,
        "none",
        space,
        Path(folder),
        ["a"],
    )


def test_resources_of_the_campaign_replace_the_fields_that_it_names(folder):
    resources = {"timeout": "5 min"}
    for name, options in (("Plain", {"tolerance": 0.1}), ("parabola", {})):
        built = load(folder, name, {**options, "resources": resources})
        assert built.resources == Resources(num_cpus=2, timeout=300)
    assert load(folder, "Granted", {"resources": resources}).granted == Resources(num_cpus=4, timeout=300)


def test_a_shared_function_is_not_changed_by_one_campaign(folder):
    load(folder, "parabola", {"resources": {"num_cpus": 8}}, space=Parameters(x=Real(0, 0.5)).to_dict())
    untouched = load(folder, "parabola")
    assert untouched.resources.num_cpus == 2
    assert untouched.space == Parameters(x=Real(0, 1))


def test_a_campaign_may_narrow_a_space_but_not_rename_it(folder):
    narrow = Parameters(x=Real(0, 0.5))
    assert load(folder, "parabola", space=narrow.to_dict()).space == narrow
    with pytest.raises(ValueError, match="has \\['x'\\], the campaign \\['z'\\]"):
        load(folder, "parabola", space=Parameters(z=Real(0, 1)).to_dict())
    with pytest.raises(ValueError, match="kind 'parameters', not 'molecule'"):
        load(folder, "parabola", space={"molecules": {}})


@pytest.mark.parametrize(
    ("name", "options", "field", "said"),
    [
        ("Plain", {"tolerance": 0.1, "lable": "x"}, ("lable",), "Did you mean 'label'"),
        ("Plain", {}, ("tolerance",), "needs 'tolerance'"),
        ("Plain", {"tolerance": -1}, (), "is negative"),
        ("Plain", {"tolerance": 1, "space": {}}, ("space",), "The campaign declares it"),
        ("Plain", {"tolerance": 1, "resources": {"cpus": 1}}, ("resources", "cpus"), "no field 'cpus'"),
        ("Plain", {"tolerance": 1, "resources": {"memory": "big"}}, ("resources", "memory"), "amount of memory"),
        ("Plain", {"tolerance": 1, "resources": 3}, ("resources",), "not a mapping"),
        ("Validated", {"fidelities": [{"basis": "a"}, {"basis": 3}]}, ("fidelities", 1, "basis"), "valid string"),
        ("Validated", {"fidelities": [{"basis": "a", "cycle": 3}]}, ("fidelities", 0, "cycle"), "no field 'cycle'"),
        ("parabola", {"tolerance": 1}, ("tolerance",), "takes no options"),
        ("NoOracle", {}, (), "builds no oracle: it lacks space, outputs"),
        ("NUMBER", {}, (), "which is no oracle"),
    ],
)
def test_a_wrong_option_is_named_by_its_path(folder, name, options, field, said):
    with pytest.raises(OracleOptionError, match=said) as caught:
        load(folder, name, options)
    assert caught.value.field == field


def test_an_oracle_that_takes_any_option_gets_them_all(folder):
    assert load(folder, "Open", {"anything": 1}).options == {"anything": 1}


def test_a_reference_survives_json_and_pickle():
    reference = OracleReference("lookup", {"file": "a.csv", "outputs": {"y": "y"}}, None, "/campaigns/docking", ("y",))
    assert OracleReference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference
    assert pickle.loads(pickle.dumps(reference)) == reference
    error = OracleOptionError(("a", 0), "wrong.")
    assert str(pickle.loads(pickle.dumps(error))) == "a[0]: wrong."


def test_numbers_as_keys_are_text_as_they_will_be_in_the_database():
    reference = OracleReference("command", {"exit_codes": {3: "not_converged"}})
    assert reference == OracleReference.from_dict(json.loads(json.dumps(reference.to_dict())))


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_options_that_are_not_json_are_refused_at_once(value):
    with pytest.raises(OracleOptionError, match="not JSON data"):
        OracleReference("lookup", {"x": value})
