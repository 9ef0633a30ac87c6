"""Laws and surrogates in a module beside the campaign file are found wherever models are checked, trained and asked."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import load_spec

LAWS = """
from theoros.models.twins.physics import residual


@residual("rim", weight=0.1)
def rim(situation):
    x, y = situation.outcomes["x"], situation.outcomes["y"]
    return (x**2 + y**2) / 100**2 - 1


@residual("positive", weight=0.1)
def positive(situation):
    return (-situation.outcomes["value"]).clamp_min(0)
"""
SURROGATE = """
from theoros.models.surrogates.random_forest import RandomForest


class Grove(RandomForest):
    name = "grove"
"""
SPEC = {
    "campaign": "chamber",
    "question": {"learn": ["x", "y"]},
    "oracle": {"scattering": {"charge": 1, "radius": 100}},
    "initial": 4,
    "budget": {"labels": 6},
    "proposers": ["sobol"],
    "workers": {"slots": 1},
}
LAWFUL = {
    "surrogate": {"cvae": {"residuals": ["laws_beside:rim"], "steps": 20, "members": 3}},
    "acquisition": "violation",
}
GROVE = {"surrogate": "surrogate_beside:Grove", "acquisition": "std"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A campaign's folder with modules of the user's own, of which no process has heard."""
    monkeypatch.setattr("sys.path", [*sys.path])
    for name, source in (("laws_beside", LAWS), ("surrogate_beside", SURROGATE)):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(source)
    importlib.invalidate_caches()
    return tmp_path


def written(folder: Path, **more: object) -> Path:
    file = folder / "campaign.yaml"
    file.write_text(yaml.safe_dump(SPEC | more))
    return file


@pytest.mark.parametrize("named", [LAWFUL, GROVE], ids=["law", "surrogate"])
def test_they_are_found_where_the_file_is_checked(folder, named):
    plan = resolve(load_spec(written(folder, **named)), folder)
    assert plan.models.search_path == str(folder)


def test_a_campaign_without_code_of_its_own_is_not_looked_in(folder):
    """A file there that is called like a module of Python's does no harm."""
    plan = resolve(load_spec(written(folder, surrogate={"cvae": {"steps": 20}})), folder)
    assert plan.models.search_path is None
    assert str(folder) not in sys.path


def test_a_module_that_is_not_there_is_said_at_its_place_in_the_file(folder):
    file = written(folder, surrogate={"cvae": {"residuals": ["laws_beside:rim", "laws_besides:rim"]}})
    with pytest.raises(SpecError) as caught:
        Campaign(file, folder / "t.db")
    assert str(caught.value) == (
        "campaign.yaml: surrogate.cvae.residuals.1: The residual 'laws_besides:rim' can't be loaded: No module named "
        "'laws_besides'. Write 'module:Name' for Name in module.py beside the campaign file, or 'package.module:Name' "
        "of an installed package."
    )


def test_a_module_that_is_broken_is_said_so(folder):
    (folder / "laws_broken.py").write_text("rim = 1 / 0\n")
    file = written(folder, surrogate={"cvae": {"residuals": ["laws_broken:rim"]}})
    with pytest.raises(SpecError, match="'laws_broken:rim' can't be loaded: ZeroDivisionError: division by zero"):
        Campaign(file, folder / "t.db")


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("named", "surrogate"), [(LAWFUL, "cvae"), (GROVE, "grove")], ids=["law", "surrogate"])
def test_a_campaign_is_run_with_them_to_its_end(folder, named, surrogate):
    """The cluster was there before the folder: its workers are told where to look."""
    campaign = Campaign(written(folder, **named), folder / "t.db")
    assert campaign.run().finished
    assert len(campaign.labels()) == 6
    versions = campaign.store.model_versions("chamber")
    campaign.close()
    assert {version.surrogate for version in versions} == {surrogate}
    assert not any(version.fell_back for version in versions)
    if surrogate == "cvae":
        assert versions[-1].hyperparameters["residuals"]["rim"]["violation"] > 0


def test_a_simulation_finds_them_and_a_rival_has_none_of_their_options(folder):
    """Called from elsewhere, as people do."""
    laws = {"cvae": {"residuals": ["laws_beside:positive"], "steps": 20, "members": 3}}
    branin = {"oracle": {"synthetic": {"function": "Branin"}}, "question": {"learn": "value"}}
    file = written(folder, **branin, surrogate=laws, acquisition="std")
    arguments = [str(file), "--against", "random_forest", "--seeds", "1", "--results", str(folder / "results")]
    done = subprocess.run(
        [Path(sys.executable).parent / "theoros", "simulate", *arguments],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = (folder / "results").rglob("evaluations.csv")
    assert "random_forest" in told.read_text()
