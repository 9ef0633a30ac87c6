"""``theoros explain``: what a stored campaign's model says, from the database alone, for people and as JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.orchestrator.bench import SPEC, answer_all
from theoros.db import Store
from theoros.db.roles import grant
from theoros.oracles.spaces import Categorical, Library, Molecules, Parameters, Real
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.explain import keep_card, parse_candidate, refitted, why
from theoros.orchestrator.spec.errors import SpecError

THEOROS = Path(sys.executable).parent / "theoros"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a campaign of eleven labels, which depend on x1 alone, and a failure, the ninth."""
    folder = tmp_path_factory.mktemp("explain")
    with contextlib.closing(Campaign(SPEC, folder / "theoros.db")) as campaign:
        answer_all(campaign, lambda number, at: ValueError("the flask broke") if number == 8 else at["x1"] ** 2)
    return folder


@pytest.fixture
def store(folder):
    with Store(folder / "theoros.db", read_only=True) as store:
        yield store


@pytest.fixture
def run(folder):
    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([THEOROS, "explain", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_the_parameter_that_matters_is_named_drawn_and_kept(run, folder):
    found = json.loads(run("bench", "--json", "--samples", "128").stdout)
    weights, success = found["sensitivities"]
    assert success["output"] == "succeeds", "whether the oracle answers is learned as well"
    assert (weights["method"], weights["items"][0]["name"]) == ("sobol", "x1")
    assert weights["items"][0]["total"] > 0.9
    assert found["model"]["n_labels"] == 11
    on_x1 = found["dependence"][0]
    assert on_x1["parameter"] == "x1"
    assert len(on_x1["mean"]) == len(on_x1["values"]) == 25
    for path in found["plots"]:
        assert (folder / path).read_bytes().startswith(b"\x89PNG")
    with Store(folder / "theoros.db", read_only=True) as store:
        cards = {card.card.kind: card.card for card in store.cards("bench")}
        assert cards["sensitivities"].data["items"] == found["sensitivities"]
        version = store.model_versions("bench")[-1].number
        assert cards["sensitivities"].model_version == found["model"]["version"] == version
        assert set(cards) >= {"sensitivities", "dependence"}


def test_the_same_is_told_in_tables(run):
    text = run("bench", "--samples", "64", "--no-card").stdout
    assert "What value depends on" in text
    assert "Partial dependence of value" in text
    assert "fitted anew to 11 labels" in text


def test_without_a_card_the_database_stays_as_it_is(run, folder):
    before = hashlib.sha256((folder / "theoros.db").read_bytes()).hexdigest()
    run("bench", "--why", "11", "--no-card")
    assert hashlib.sha256((folder / "theoros.db").read_bytes()).hexdigest() == before


def test_why_a_sample_was_chosen_is_what_the_database_says(run, store):
    found = json.loads(run("bench", "--why", "12", "--json").stdout)["why"]
    row = store.decisions("bench").query("sequence == 12 and output == 'value'").iloc[0]
    assert found == why(store, "bench", 12)
    assert (found["proposer"], found["acquisition"]) == (row.proposer, "log_ei")
    assert found["value"] == row.acquisition_value
    assert found["outputs"]["value"]["mean"] == row.predicted_mean
    assert found["outputs"]["value"]["observed"] == row.observed
    assert found["model"]["version"] == row.model_version
    assert found["state"] == "done"
    text = run("bench", "--why", "12", "--no-card").stdout
    assert "chosen for its log_ei" in text
    assert "by model version" in text


def test_a_sample_of_the_initial_design_had_no_model(store):
    found = why(store, "bench", 1)
    assert (found["model"], found["acquisition"], found["value"]) == (None, "", None)
    assert found["reason"] == "initial design"
    assert found["outputs"]["value"]["mean"] is None
    assert found["outputs"]["value"]["observed"] is not None


def test_a_sample_that_failed_says_how(store, run):
    assert "the flask broke" in why(store, "bench", 9)["failure"]
    assert "it brought no label" in run("bench", "--why", "9", "--no-card").stdout


def test_a_sample_that_is_not_there_is_refused_with_those_that_are(run):
    assert "from 1 to 12" in run("bench", "--why", "99", code=2).stderr


def test_what_if_predicts_with_intervals(run, store):
    found = json.loads(run("bench", "--what-if", "x1=2, x2=3.5", "--json").stdout)["what-if"]
    belief, success = found["predictions"]
    assert (belief["output"], success["output"]) == ("value", "succeeds")
    assert found["candidate"] == {"x1": 2.0, "x2": 3.5}
    (low50, high50), (low90, high90) = belief["intervals"]["0.5"], belief["intervals"]["0.9"]
    assert low90 < low50 < belief["mean"] < high50 < high90
    assert belief["mean"] == pytest.approx(4.0, abs=4.0)
    assert "50%" in run("bench", "--what-if", "x1=2, x2=3.5", "--no-card").stdout
    assert store.cards("bench", "what-if")[0].card.data["candidate"] == found["candidate"]


@pytest.mark.parametrize("text", ["x=1", "x=1, y=high", "x=1, y=9", "nonsense", "{x: [", "[1, 2]", "x=1, y=1, z=1"])
def test_what_if_something_that_cannot_be_asked_says_what_can(text):
    with pytest.raises(SpecError, match=r"^--what-if: .*(x|y|parameter)"):
        parse_candidate(Parameters(x=Real(0, 1), y=Real(0, 2)), text)


def test_a_mistake_in_what_if_is_told_with_its_option(run):
    assert "--what-if: the candidate lacks a value for ['x2']" in run("bench", "--what-if", "x1=2", code=2).stderr


def test_a_model_is_fitted_anew_alike(store):
    first, again = (refitted(store, "bench") for _ in range(2))
    assert first.model.hyperparameters() == again.model.hyperparameters()


def test_who_may_only_read_is_told_all_the_same(folder, tmp_path):
    refused = keep_card(str(tmp_path / "nowhere.db"), "bench", "why", {}, None)
    assert "nowhere.db" in refused
    assert not (tmp_path / "nowhere.db").exists()
    assert keep_card(str(folder / "theoros.db"), "bench", "why", {"number": 1}, None) == ""


def test_a_role_that_only_reads_gets_no_card_and_a_reason(postgres_url):
    with Store(postgres_url) as store:
        store.create_campaign("bench", goal="optimize", spec={}, seed=0)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE explain_reader LOGIN")
        try:
            grant(postgres_url, "reader", "explain_reader")
            url = make_url(postgres_url).set(username="explain_reader").render_as_string(hide_password=False)
            assert "permission denied" in keep_card(url, "bench", "why", {"number": 1}, None)
        finally:
            connection.execute("DROP OWNED BY explain_reader")
            connection.execute("DROP ROLE explain_reader")


def test_candidates_are_written_as_people_write_them(tmp_path):
    space = Parameters({"x": Real(0, 2), "base": Categorical("KOH", "C1CC1,N")})
    assert parse_candidate(space, " x = 1, base= KOH ").data == {"x": 1.0, "base": "KOH"}
    assert parse_candidate(space, "{x: 0.5, base: 'C1CC1,N'}").data == {"x": 0.5, "base": "C1CC1,N"}
    assert parse_candidate(Molecules(), "OCC").data == {"smiles": "CCO"}
    with pytest.raises(SpecError, match="what-if"):
        parse_candidate(Molecules(), "not a molecule")
    (tmp_path / "rows.csv").write_text("x,kind\n1,a\n2,b\n")
    assert parse_candidate(Library(str(tmp_path / "rows.csv")), "x=2, kind=b").data == {"x": 2.0, "kind": "b"}


def test_a_campaign_without_labels_has_nothing_to_explain(tmp_path):
    campaign = Campaign(SPEC, tmp_path / "t.db")
    campaign.save()
    with pytest.raises(SpecError, match="a model needs two"):
        refitted(campaign.store, "bench")
    with pytest.raises(SpecError, match="It has none yet"):
        why(campaign.store, "bench", 1)
