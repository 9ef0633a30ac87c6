"""Pages are made of what a database holds, and nothing in it can do harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.orchestrator.molecule_book import ALKANES, CARD, Book, Reader
from theoros.db import Store
from theoros.db.records import CheckRecord, ModelVersionRecord
from theoros.orchestrator.gates import card_of
from theoros.orchestrator.report.canvas import as_png
from theoros.orchestrator.report.gates import gates_table
from theoros.orchestrator.report.html import Html, joined, number, table, tag
from theoros.orchestrator.report.page import page
from theoros.orchestrator.report.plots import figures
from theoros.orchestrator.report.structures import MOST_DRAWN, structure


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "t.db") as store:
        yield store


BAD = "<script>alert('x')</script>"


def test_whatever_the_database_holds_is_shown_and_does_nothing(store):
    book = Book(store)
    for smiles in ALKANES:
        book.label(smiles, f'"><img src=x onerror=alert(1)>{BAD}', reason=f"{BAD} & more", text=f"{smiles} {BAD}")
    book.label(f"CCC {BAD}", "$\\frac")  # a name behind the SMILES, which RDKit would read
    book.label(f"CC |$_R1;{BAD}$|", "$a$")
    book.label("not a molecule")
    store.set_state("demo", "failed", BAD)
    written = page(store, "demo")
    found = Reader(written)
    assert "script" not in {name for name, _ in found.tags}
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert f"failed ({BAD})" in found.text
    assert f"reason: {BAD} & more" in found.text
    assert f"CCCCCC {BAD}" in found.text
    assert "no structure" in found.text
    assert all((a["src"] or "").startswith("data:image/png") for name, a in found.tags if name == "img")


def test_a_fidelity_s_name_is_no_formula(store):
    """Neither on the axis of costs nor in a legend: one that isn't well formed would end the report."""
    book = Book(store, card=replace(CARD, fidelities=("cheap", "$\\frac$")))
    for smiles in ALKANES:
        book.label(smiles, fidelity="$\\frac$", beliefs={"logp": (1.0, 0.5)})
    checks = [CheckRecord(label.label_id, "logp", 1.0, 0.5, 1.2) for label in store.label_records("demo")]
    store.add_model_version("demo", ModelVersionRecord(1, "tanimoto_gp", 6, seed=1, fit_seconds=0.5, checks=checks))
    assert {"progress", "predictions"} <= {name for name, figure in figures(store, "demo") if as_png(figure)}


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"))))
def test_text_comes_out_of_a_page_as_it_went_in(text):
    found = Reader(tag("p", text, title=text))
    assert found.text == text
    assert found.tags == [("p", {"title": text})]


def test_only_what_is_marked_as_html_is_html():
    assert tag("p", "1 < 2", tag("br"), None, Html("<b>x</b>"), class_="a", data_x=None) == (
        '<p class="a">1 &lt; 2<br><b>x</b></p>'
    )
    both = tag("i", "x") + "<"  # joined as text they are text again
    assert tag("p", both) == "<p>&lt;i&gt;x&lt;/i&gt;&lt;</p>"
    assert joined(["&", None, Html("&amp;")]) == "&amp;&amp;"
    assert table(["a", "b"], [("<", "1")], numeric=["b"]) == (
        '<table><thead><tr><th>a</th><th class="number">b</th></tr></thead>'
        '<tbody><tr><td>&lt;</td><td class="number">1</td></tr></tbody></table>'
    )


def test_numbers_have_units_and_nothing_is_a_dash():
    assert number(1.234567, "eV") == "1.2346 eV"
    assert number(3) == "3"
    assert number(None, "eV") == number(float("nan")) == "–"


def test_a_molecule_too_large_to_be_seen_is_not_drawn():
    assert "<path" in structure("C" * MOST_DRAWN)
    assert structure("C" * (MOST_DRAWN + 1)) == '<div class="undrawn">76 heavy atoms, not drawn</div>'
    assert structure("") == structure("C(C") == '<div class="undrawn">no structure</div>'
    assert "xmlns" not in structure("CCO")
    assert "class=" not in structure("CCO")
    assert 3 * 12 * len(structure("CN" * (MOST_DRAWN // 2))) < 1_500_000, "a page of such molecules stays below 2 MB"


def test_what_gates_have_turned_away_is_on_the_page(store):
    book = Book(store)
    book.label("CCC")
    assert "Gates" not in page(store, "demo")
    for counts in ({"size": {"too large": 2}}, {"size": {"too large": 1}, "alerts": {"azide": 4}}):
        store.add_card("demo", card_of(counts))
    rows = [tuple(row.values()) for row in Reader(page(store, "demo")).table("gate")]
    assert sorted(rows) == [("alerts", "azide", "4"), ("size", "too large", "3")]


def test_gates_are_told_with_the_most_frequent_reason_first():
    counts = {"alerts": {"peroxide": 2, "azide": 7, "<i>": 2}, "size": {"10 heavy atoms": 1}, "charges": {}}
    rows = Reader(gates_table(counts)).table("gate")
    assert [tuple(row.values()) for row in rows] == [
        ("alerts", "azide", "7"),
        ("alerts", "<i>", "2"),
        ("alerts", "peroxide", "2"),
        ("size", "10 heavy atoms", "1"),
    ]
