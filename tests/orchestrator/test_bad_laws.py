"""What a twin could not be taught is said when the campaign file is checked, before any label is paid for."""

from __future__ import annotations

import importlib
import sys

import pytest

from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import spec_from_dict

LAWS = """
import torch
from theoros.models.twins.physics import residual


@residual("energy")
def energy(situation):
    return situation.outcomes["x"] ** 2 + situation.outcomes["y"] ** 2 - situation.conditions["energy"]


@residual("mirror")
def mirror(situation):
    other = situation.at(impact_parameter=-situation.conditions["impact_parameter"])
    return torch.stack([other["x"] - situation.outcomes["x"], other["y"] + situation.outcomes["y"]], -1)


@residual("drawn", on="draws")
def drawn(situation):
    return torch.relu(-situation.outcomes["x"])


@residual("energy")
def namesake(situation):
    return situation.outcomes["x"]


@residual("deep")
def no_output(situation):
    return situation.outcomes["z"]


@residual("heavy")
def no_parameter(situation):
    return situation.outcomes["x"] * situation.conditions["mass"]


@residual("elsewhere")
def no_parameter_elsewhere(situation):
    return situation.at(mass=situation.conditions["energy"])["x"]


@residual("elsewhere", on="draws")
def draws_elsewhere(situation):
    return situation.at(energy=situation.conditions["energy"])["x"]


@residual("total")
def wrong_shape(situation):
    return situation.outcomes["x"].sum()


@residual("number")
def a_number(situation):
    return 0.0


@residual("array")
def an_array(situation):
    return torch.from_numpy(situation.outcomes["x"].numpy())


@residual
def no_name(situation):
    return situation.outcomes["x"]
"""
CHAMBER = {
    "campaign": "chamber",
    "question": {"learn": ["x", "y"]},
    "oracle": {"scattering": {"charge": 1, "radius": 100}},
    "budget": {"labels": 20},
}
MAY_USE = "It may use the outcomes x, y and the conditions energy, impact_parameter."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "laws_to_check", raising=False)
    (tmp_path / "laws_to_check.py").write_text(LAWS)
    importlib.invalidate_caches()
    return tmp_path


def taught(*laws: str, **more: object) -> dict[str, object]:
    return {**CHAMBER, "surrogate": {"cvae": {"residuals": [f"laws_to_check:{law}" for law in laws]}}, **more}


def refused(data: dict[str, object], folder) -> SpecError:
    with pytest.raises(SpecError) as caught:
        resolve(spec_from_dict(data), folder, file="campaign.yaml")
    return caught.value


def test_laws_that_can_be_taught_are_taken(folder):
    plan = resolve(spec_from_dict(taught("energy", "mirror", "drawn", acquisition="violation")), folder)
    assert plan.acquisition == "violation"


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("no_output", f"The law 'deep' fails on a made-up answer: KeyError: 'z'. {MAY_USE}"),
        ("no_parameter", f"The law 'heavy' fails on a made-up answer: KeyError: 'mass'. {MAY_USE}"),
        (
            "no_parameter_elsewhere",
            "The law 'elsewhere' fails on a made-up answer: ValueError: there is no condition 'mass'. " + MAY_USE,
        ),
        (
            "draws_elsewhere",
            "The law 'elsewhere' fails on a made-up answer: TypeError: only a law on means can ask for outcomes at "
            "other conditions. " + MAY_USE,
        ),
        (
            "wrong_shape",
            "The law 'total' fails on a made-up answer: ValueError: The residual 'total' gives the shape () for "
            "outcomes (2, 3). Return one number for each outcome, or several along a last axis. " + MAY_USE,
        ),
        (
            "a_number",
            "The law 'number' fails on a made-up answer: ValueError: The residual 'number' gives a float. Return a "
            "tensor. " + MAY_USE,
        ),
        (
            "an_array",
            "The law 'array' fails on a made-up answer: RuntimeError: Can't call numpy() on Tensor that requires grad. "
            "Use tensor.detach().numpy() instead. " + MAY_USE,
        ),
        ("no_name", "'laws_to_check:no_name' is no residual. Put '@residual(\"no_name\")' above the function."),
    ],
)
def test_a_law_that_can_not_be_taught_here_is_named_with_what_it_may_use(folder, law, message):
    assert str(refused(taught("mirror", law), folder)) == f"campaign.yaml: surrogate.cvae.residuals.1: {message}"


def test_two_laws_of_one_name_are_refused(folder):
    assert str(refused(taught("energy", "namesake"), folder)) == (
        "campaign.yaml: surrogate.cvae.residuals.1: Two laws are called 'energy', and what is told of a law stands "
        "under its name. Give 'laws_to_check:namesake' another, or leave it out."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("weight=-1", "The residual 'x' has the weight -1. Give a number from zero on"),
        ("weight=float('nan')", "The residual 'x' has the weight nan. Give a number from zero on"),
        ("weight=float('inf')", "The residual 'x' has the weight inf. Give a number from zero on"),
        ("weight='20'", "The residual 'x' has the weight '20'. Give a number from zero on"),
        ("on='draw'", "The residual 'x' is on 'draw'. Write 'means' or 'draws'"),
    ],
)
def test_a_weight_that_weighs_nothing_is_refused(folder, monkeypatch, arguments, message):
    monkeypatch.delitem(sys.modules, "laws_badly_weighed", raising=False)
    (folder / "laws_badly_weighed.py").write_text(
        "from theoros.models.twins.physics import residual\n\n\n"
        f"@residual('x', {arguments})\ndef law(situation):\n    return situation.outcomes['x']\n"
    )
    error = refused({**CHAMBER, "surrogate": {"cvae": {"residuals": ["laws_badly_weighed:law"]}}}, folder)
    assert error.field == ("surrogate", "cvae", "residuals", 0)
    assert f"'laws_badly_weighed:law' can't be loaded: {message}." in error.message


@pytest.mark.parametrize("surrogate", ["cvae", {"flow_matching": {"members": 3}}])
def test_violations_of_no_law_are_not_asked_for(folder, surrogate):
    name = surrogate if isinstance(surrogate, str) else "flow_matching"
    error = refused({**CHAMBER, "surrogate": surrogate, "acquisition": "violation"}, folder)
    assert str(error) == (
        f"campaign.yaml: acquisition: The acquisition 'violation' asks where laws are broken, and the surrogate "
        f"{name!r} is taught none. Write 'surrogate: {{{name}: {{residuals: [my_laws:energy]}}}}', or use "
        "'distribution_distance'."
    )


def test_molecules_have_no_conditions_for_a_law(folder):
    molecules = {
        "campaign": "molecules",
        "question": {"learn": "gap"},
        "space": {"molecules": {"elements": ["C", "N", "O"], "heavy_atoms": "2..7"}},
        "oracle": {"pyscf": {"fidelities": [{"name": "hf", "method": "hf", "basis": "sto-3g"}]}},
        "budget": {"labels": 20},
    }
    error = refused({**molecules, "surrogate": taught("drawn")["surrogate"]}, folder)
    assert error.field == ("surrogate", "cvae", "residuals")
    assert "Leave the residuals out, or use a space of parameters." in error.message
