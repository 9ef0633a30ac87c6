"""The page of a campaign over molecules shows what the database holds."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest
from rich.console import Console

from tests.orchestrator.molecule_book import ALKANES, AROMATICS, CARD, LOGP, Book, Reader, properties
from theoros.db import OfferRecord, Store
from theoros.db.transfer import migrate_database
from theoros.models.data import OutcomeConstraint
from theoros.models.desirability import Desirability, Desirable
from theoros.models.diversity import circles
from theoros.models.forecast import Forecast
from theoros.models.objective import Objective
from theoros.orchestrator.asktell import NothingToAsk
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.report.final import print_report
from theoros.orchestrator.report.has_page import has_page
from theoros.orchestrator.report.history import read_history
from theoros.orchestrator.report.page import page, write_page
from theoros.orchestrator.report.plots import figures
from theoros.orchestrator.report.proposers import contributions, shares_over_time, who_earned_what
from theoros.orchestrator.report.structures import structure
from theoros.orchestrator.scorecard import Scorecard
from theoros.orchestrator.spec.errors import SpecError


@pytest.fixture(scope="module")
def text(demo: Store) -> str:
    return page(demo, "demo")


def test_the_best_molecules_are_drawn_in_their_order_with_labels_and_intervals(text, demo):
    best = [label.candidate.data["smiles"] for label in CARD.ranked(demo.label_records("demo"))][:12]
    assert best[0] == "CCCCCCCC"
    cards = re.findall(r'<figure id="best-\d+">(.*?)</figure>', text, re.DOTALL)
    assert len(cards) == 12
    for smiles, card in zip(best, cards, strict=True):
        assert structure(smiles) in card
        assert f"<code>{smiles}</code>" in card
    row = Reader(cards[0]).table("output")[0]
    logp = properties("CCCCCCCC")["logp"]
    assert row == {"output": "logp", "label": f"{logp:.5g}", "predicted": "3.25", "90 % interval": "2.8388 to 3.6612"}
    assert "labelled at true, proposed by genetic" in cards[0]
    unguided = Reader(cards[best.index("CCCCCC")]).table("output")[0]
    assert (unguided["predicted"], unguided["90 % interval"]) == ("–", "–")


def test_the_page_needs_nothing_from_elsewhere(text):
    found = Reader(text)
    assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]*", "", text))
    assert not {"script", "link", "iframe", "object", "embed", "a"} & {name for name, _ in found.tags}
    sources = [attributes["src"] or "" for name, attributes in found.tags if name == "img"]
    assert len(sources) == 3  # progress, chemical space, shares
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    policy = [a["content"] for name, a in found.tags if name == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_page_is_small_and_the_same_each_time(text, demo):
    assert len(text) < 400_000
    assert page(demo, "demo") == text


def test_the_control_is_set_beside_the_campaign(text):
    ours, theirs = properties("CCCCCCCC")["logp"], properties("CCCCCC")["logp"]
    assert f"demo.random: best {theirs:.5g} in 6 labels; demo: {ours:.5g} in 13" in text


def test_proposers_are_told_with_the_numbers_of_the_database(text, demo):
    rows = {row["proposer"]: row for row in Reader(text).table("proposer")}
    counted = demo.query(
        "SELECT d.proposer, count(*) AS asked, sum(CASE WHEN e.state = 'done' THEN 1 ELSE 0 END) AS labelled, "
        "sum(CASE WHEN e.state = 'abandoned' THEN 1 ELSE 0 END) AS failed, sum(d.seconds) AS seconds, "
        "sum((SELECT sum(cpu_seconds) FROM attempts a WHERE a.evaluation_id = e.id)) AS cpu FROM decisions d "
        "JOIN evaluations e ON e.id = d.evaluation_id JOIN campaigns c ON c.id = e.campaign_id "
        "WHERE c.name = 'demo' GROUP BY d.proposer"
    )
    assert len(counted) == len(rows) == 2
    for line in counted.to_dict("records"):
        row = rows[line["proposer"]]
        assert [row["asked"], row["labelled"], row["failed"]] == [
            str(line[key]) for key in ("asked", "labelled", "failed")
        ]
        assert row["s of deciding"] == f"{line['seconds']:.3g}"
        assert row["CPU s of labelling"] == f"{line['cpu']:.3g}"
    assert [(row["asked"], row["failed"]) for row in rows.values()] == [("9", "1"), ("7", "0")]
    assert [row["share"] for row in rows.values()] == ["56%", "44%"]
    assert rows["genetic"]["best rank"] == "1"


def test_a_label_earns_by_its_rank_among_those_before_it(store):
    book = Book(store)
    for smiles, proposer in [("CCC", "a"), ("CCCC", "b"), ("CCCCC", "b"), ("CC", "a"), ("CCCCCC", "a")]:
        book.label(smiles, proposer)
    found = {one.proposer: one for one in contributions(read_history(store, "demo"))}
    # The first label has none before it and earns nothing; each longer chain is better than all before it, ethane
    # than none.
    assert (found["a"].earned, found["a"].judged) == (pytest.approx(1 / 3), 3)
    assert (found["b"].earned, found["b"].judged) == (pytest.approx(1.0), 2)
    assert (found["a"].best, found["a"].middle, found["a"].top) == (1, 4, 3)
    assert (found["b"].best, found["b"].middle, found["b"].top) == (2, 2.5, 2)


def test_what_a_proposer_made_promised_and_took_stands_beside_what_it_earned(store):
    book = Book(store)
    pool = [OfferRecord("a", 30, 0.5, 0.75, 0.25), OfferRecord("b", 10, 0.125, 0.25, 0.0)]
    book.label("CCC", "a", offers=[OfferRecord("a", 8, 0.25)])
    book.label("CCCC", "a", offers=pool)
    book.label("CCCCC", "a", offers=[*pool, OfferRecord("idle", 4, 2.0, 0.1, 0.0)])
    first, second, idle = contributions(read_history(store, "demo"))
    assert [first.proposer, second.proposer, idle.proposer] == ["a", "b", "idle"], "also those of which none was asked"
    assert (first.proposals, first.proposing, first.promise) == (68, 1.25, 0.25)
    assert (second.asked, second.proposals, second.proposing, second.promise) == (0, 20, 0.25, 0.0)
    assert first.earned_per_second == pytest.approx(2.0 / 1.25), "the second and the third are better than all before"
    assert (second.earned_per_second, idle.found) == (None, None)
    row = Reader(page(store, "demo")).table("proposer")[0]
    assert [row["proposals"], row["promise"], row["CPU s of proposing"], row["earned per CPU s"]] == [
        "68",
        "0.25",
        "1.25",
        "1.6",
    ]
    table = who_earned_what(store, "demo").set_index("proposer")
    assert table.loc["a", ["asked", "proposals", "found"]].tolist() == [3, 68, "CCCCC"]
    assert table.loc["a", "value"] == pytest.approx(properties("CCCCC")["logp"])
    assert table.loc["idle", "labelled"] == 0


def test_shares_over_time_are_those_of_the_decisions(demo):
    names, shares, ends = shares_over_time(read_history(demo, "demo"))
    assert names == ["genetic", "molecule_pool"]
    assert np.allclose(shares.sum(1), 1)
    assert shares[0].tolist() == [0, 1]
    assert shares[-1].tolist() == [1, 0]
    assert ends[-1] == 16


def test_many_decisions_make_twenty_stretches(store):
    book = Book(store)
    for i in range(45):
        book.decide("C" * (i + 1), "first" if i < 20 else "second")
    names, shares, ends = shares_over_time(read_history(store, "demo"))
    assert names == ["second", "first"]
    assert shares.shape == (20, 2)
    assert (ends[0], ends[-1]) == (3, 45)
    assert shares[0].tolist() == [0, 1]


def test_the_page_tells_how_many_circles_the_labelled_molecules_fill(store):
    chains = ["C" * n for n in range(4, 60)] + ["C" * n + "O" for n in range(4, 60)]
    book = Book(store)
    for smiles in [*chains, "N#CC#N", "OS(=O)(=O)O"]:  # the two are the least lipophilic, and far from all others
        book.label(smiles)
    with_cyanogen = circles([*chains, "N#CC#N"])
    written = page(store, "demo")
    assert f"The best 100 molecules fill {circles(chains)} circles, and all 114 {with_cyanogen + 1}: so many" in written
    assert "pairwise less similar than 0.25" in written
    assert "quota" not in written


def test_a_campaign_with_a_quota_is_told_of_the_quotas_circles_too(store):
    book = Book(store, diversity={"similarity": 0.6, "at_most": 1, "remember": 0})
    for smiles in [*ALKANES, *AROMATICS]:
        book.label(smiles)
    own = circles([*ALKANES, *AROMATICS], 0.6)
    assert own > circles([*ALKANES, *AROMATICS])
    assert f"Of circles with the quota&#x27;s similarity of 0.6 they fill {own}." in page(store, "demo")


def test_a_page_written_to_a_file_is_the_page(demo, text, tmp_path):
    path = write_page(demo, "demo", tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == text


def test_postgresql_holds_the_same_page(demo, text, postgres_url):
    migrate_database(demo.url, postgres_url)
    with Store(postgres_url, read_only=True) as copy:
        assert page(copy, "demo") == text


def test_a_front_is_drawn_and_its_members_are_told(store):
    several = Scorecard(
        "optimize", (LOGP, Objective("tpsa")), ("true",), (1.0,), CARD.units, (OutcomeConstraint("tpsa", "<=", 30.0),)
    )
    book = Book(store, card=several)
    for smiles in [*ALKANES, *AROMATICS, "OCC(O)C(O)CO"]:
        book.label(smiles)
    written = page(store, "demo")
    assert '<h2>Front</h2><img src="data:image/png' in written
    assert "OCC(O)C(O)CO" not in written, "it breaks the constraint"
    assert "subject to tpsa &lt;= 30 angstrom^2" in written
    rows = Reader(re.findall(r"<figure id.*?</figure>", written, re.DOTALL)[0]).table("output")
    assert [row["output"] for row in rows] == ["logp", "tpsa (angstrom^2)"]
    fronts = [int(level) for level in re.findall(r"sample \d+, front (\d+), labelled", written)]
    assert fronts[0] == 1
    assert fronts == sorted(fronts)
    assert "mean earning" in written
    assert "of a front that none of them is as good in every objective" in written


def test_a_front_of_three_objectives_has_a_panel_for_each_two(store):
    goals = (LOGP, Objective("tpsa"), Objective("weight", "minimize"))
    units = {**CARD.units, "weight": "$"}
    book = Book(store, card=Scorecard("optimize", goals, ("true",), (1.0,), units))
    for i, smiles in enumerate(ALKANES):
        book.decide(smiles)
        book.answer({"logp": i, "tpsa": -i, "weight": 0.0})
    front = dict(figures(store, "demo"))["front"]
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in front.axes] == [
        ("logp", "tpsa (angstrom^2)"),
        ("logp", r"weight (\$)"),
        ("tpsa (angstrom^2)", r"weight (\$)"),
    ]


def test_a_desirability_is_told_with_the_outputs_that_make_it(store):
    wishes = Desirability((Desirable("logp", 0.0, 4.0), Desirable("tpsa", 40.0, 0.0)))
    goals = (LOGP, Objective("tpsa", "minimize"))
    book = Book(store, card=Scorecard("optimize", goals, ("true",), (1.0,), CARD.units, desirability=wishes))
    for smiles in [*ALKANES, *AROMATICS]:
        book.label(smiles)
    history = read_history(store, "demo")
    best = history.ranked[0].label
    assert best is not None
    assert f"<p>desirability {history.card.value(best):.5g}</p>" in page(store, "demo")


def test_where_a_model_is_wanted_no_molecule_is_the_best(store):
    book = Book(store, card=Scorecard("learn", (LOGP,), ("true",), (1.0,), CARD.units))
    for smiles in ALKANES:
        book.label(smiles)
    written = page(store, "demo")
    assert "The best" not in written
    assert "Where the best come from" not in written
    assert "Chemical space" in written


def test_without_a_feasible_label_the_page_says_so(store):
    bound = (OutcomeConstraint("tpsa", ">=", 500.0),)
    book = Book(store, card=Scorecard("optimize", (LOGP,), ("true",), (1.0,), CARD.units, bound))
    for smiles in ALKANES:
        book.label(smiles)
    assert "No label at true keeps the constraints yet." in page(store, "demo")


def test_a_campaign_without_molecules_has_no_page(store):
    store.create_campaign("branin", goal="optimize", spec={"scorecard": CARD.to_dict()}, seed=0)
    assert not has_page(store, "branin")
    with pytest.raises(SpecError) as caught:
        page(store, "branin")
    assert str(caught.value) == (
        "NAME: campaign 'branin' has labelled no molecules, and this report is of molecules. Others are told by "
        "`theoros show branin`, `theoros top branin` and `theoros plot branin`."
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_campaign_that_has_just_begun_has_a_page(store, n):
    book = Book(store)
    for smiles in ALKANES[:n]:
        book.label(smiles)
    written = page(store, "demo")
    assert ('alt="chemical space"' in written) == (n > 2)
    assert f"The {n} labelled molecules fill " in written
    assert written.count("<figure id=") == n


def test_a_campaign_over_a_library_of_molecules_ends_with_its_page(tmp_path):
    rows = "".join(f"{smiles},{properties(smiles)['logp']}\n" for smiles in [*ALKANES, *AROMATICS])
    (tmp_path / "m.csv").write_text(f"smiles,logp\n{rows}")
    spec = {
        "campaign": "library",
        "question": {"maximize": "logp"},
        "oracle": {"lookup": {"file": "m.csv", "smiles": "smiles", "outputs": {"logp": "logp"}}},
        "budget": {"labels": 8},
        "initial": 5,
        "seed": 2,
    }
    with contextlib.closing(Campaign(spec, tmp_path / "t.db", base=tmp_path)) as campaign:
        answer_all(campaign)
        told = io.StringIO()
        print_report(campaign, Console(file=told, width=300), tmp_path / "results")
        path = tmp_path / "results" / "library" / "report.html"
        assert f"report: {path}\n" in told.getvalue()
        found = Reader(path.read_text(encoding="utf-8"))
        decided = campaign.store.decisions("library")
        last = decided[decided["sequence"] == 8].iloc[0]
        tail = float(np.nan_to_num(last.predicted_tail, nan=np.inf))
        low, high = Forecast(last.predicted_mean, last.predicted_std, tail).interval(0.9)
        shown = [row for row in found.rows if row[-1] == f"{low:.5g} to {high:.5g}"]
        assert shown[0] == ["logp", f"{last.observed:.5g}", f"{last.predicted_mean:.5g}", f"{low:.5g} to {high:.5g}"]


def answer_all(campaign: Campaign) -> None:
    """Answer until the budget is spent."""
    try:
        while True:
            asked = campaign.ask()
            campaign.tell(asked, properties(asked.parameters["smiles"])["logp"])
    except NothingToAsk:
        pass


def test_reports_of_parameters_are_as_they_were(tmp_path):
    spec = {
        "campaign": "bench",
        "question": {"minimize": "value"},
        "oracle": {"synthetic": {"function": "Branin"}},
        "budget": {"labels": 3},
        "seed": 4,
    }
    campaign = Campaign(spec, tmp_path / "t.db")
    for _ in range(3):
        campaign.tell(campaign.ask(), 1.0)
    told = io.StringIO()
    print_report(campaign, Console(file=told, width=300), tmp_path / "results")
    assert "report:" not in told.getvalue()
    assert [path.name for path in (tmp_path / "results" / "bench").iterdir()] == ["progress.png"]
    campaign.close()
