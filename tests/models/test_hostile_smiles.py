"""Whatever stands where a SMILES should: it is turned away by type and reason, soon, and stops nothing."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.gates.gatekeeper import Gatekeeper
from theoros.oracles.spaces.gates.parse import gates_from_data
from theoros.oracles.spaces.library import Library
from theoros.oracles.spaces.molecules import LONGEST_SMILES, Molecules, read_smiles

#: Seconds that any of them may take on a busy computer; none takes a tenth of it on an idle one.
SOON = 5.0

UNREADABLE = "not a valid SMILES: it can't be read"
IMPOSSIBLE = "not a valid SMILES: its valences or rings are impossible"
CHARACTERS = "it holds characters that no SMILES has"
LONG = "characters, and a SMILES 1000 at most"
#: What it is, the text, and words of the reason.
HOSTILE = [
    ("nothing", "", "'' is not a SMILES"),
    ("blanks", " \t ", "is not a SMILES"),
    ("None", None, "None is not a SMILES"),
    ("a number", 5, "5 is not a SMILES"),
    ("not a number", float("nan"), "nan is not a SMILES"),
    ("bytes", b"CCO", "b'CCO' is not a SMILES"),
    ("a list", ["C"], r"\['C'\] is not a SMILES"),
    ("a mapping of more", {"smiles": "C", "x": 1}, "is not a molecule; give a SMILES or"),
    ("a newline", "CC\nO", CHARACTERS),
    ("a null byte", "CC\x00O", CHARACTERS),
    ("a tab", "CCO\tethanol", CHARACTERS),
    ("another letter", "CÖC", CHARACTERS),
    ("a picture", "🧪", CHARACTERS),
    ("text from right to left", "\u202eCCO", CHARACTERS),
    ("half a character", "C\ud800C", CHARACTERS),
    ("a chain of 100,000 atoms", "C" * 100_000, LONG),
    ("a million brackets", "[" * 10**6, LONG),
    ("a hundred thousand branches", "C(" * 100_000 + "C" + ")" * 100_000, LONG),
    ("5,000 fragments", ".".join(["C"] * 5000), LONG),
    ("a number of a thousand digits", "C%(" + "9" * 1000 + ")C", LONG),
    ("a chain of 500 atoms", "C" * 500, "it has 500 heavy atoms, allowed are 1..9"),
    ("500 atoms with branches", "C(F)(F)" * 142 + "F", "allowed are 1..9"),
    ("a chain as long as may be", "N" * 1000, "it has 1000 heavy atoms"),
    ("nested brackets", "[" * 200 + "C" + "]" * 200, UNREADABLE),
    ("a bracket within a bracket", "[C[N]]", UNREADABLE),
    ("nested branches", "C" + "(" * 400 + "C" + ")" * 400, UNREADABLE),
    ("empty branches", "C()()C", UNREADABLE),
    ("an open branch", "CC(C", UNREADABLE),
    ("an open bracket", "[CH3", UNREADABLE),
    ("an open ring", "C1CC", UNREADABLE),
    ("a ring of one atom", "C11", UNREADABLE),
    ("89 open rings", "".join(f"C%{n}" for n in range(10, 99)), UNREADABLE),
    ("half a ring number", "C%1", UNREADABLE),
    ("dots alone", "." * 900, UNREADABLE),
    ("marks alone", "/\\=#" * 100, UNREADABLE),
    ("a mark too many", "[C@@@@H](F)(Cl)Br", UNREADABLE),
    ("an isotope of twelve digits", "[999999999999C]", UNREADABLE),
    ("SMARTS", "[C,N]", UNREADABLE),
    ("a reaction", "CCO>>CC=O", UNREADABLE),
    ("a file name", "../../etc/passwd", UNREADABLE),
    ("a line of SQL", "C'; DROP TABLE labels;--", UNREADABLE),
    ("an extension that does not end", "CCO |" + "(" * 900, UNREADABLE),
    ("five bonds to carbon", "C(C)(C)(C)(C)C", IMPOSSIBLE),
    ("99 hydrogens", "[CH99]", IMPOSSIBLE),
    ("a ring that can't be aromatic", "c1cccc1", IMPOSSIBLE),
    ("an aromatic atom in no ring", "c1ccccc1c", IMPOSSIBLE),
    ("a radical", "C[CH2]", "is a radical"),
    ("an ion", "C[NH3+]", "a charge that no neighbouring atom balances"),
    ("a charge of 99", "[C+99]", "is a radical"),
    ("a salt", "[Na+].[Cl-]", "it contains (Na|Cl), allowed are C, N, O, F, S"),
    ("a metal", "[Fe]", "it contains Fe, allowed are"),
    ("a Grignard reagent", "C[Mg]Br", "it contains Mg, allowed are"),
    ("charged fragments", "C[N+](C)(C)C.[F-]", "charge that no neighbouring atom balances"),
    ("two molecules", "CC.CO", "it consists of several fragments"),
    ("an isotope", "[13CH4]", "it names an isotope or a bare hydrogen"),
    ("hydrogen", "[H][H]", "it has 0 heavy atoms"),
    ("a wild card", "*C", r"it contains \*, allowed are"),
    ("a quadruple bond", "C$C", "a bond that is neither single, double, triple nor aromatic"),
    ("a bond of no order", "C~C", "a bond that is neither single, double, triple nor aromatic"),
    ("a cage", "C12C3C4C1C5C2C3C45", "it breaks the stability rule"),
]  # fmt: skip
TEXTS = [text for _, text, _ in HOSTILE if isinstance(text, str)]


@pytest.mark.parametrize(("text", "reason"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_it_is_turned_away_with_a_reason_and_soon(text, reason):
    started = time.perf_counter()
    with pytest.raises(InvalidCandidate, match=reason) as error:
        Molecules().candidate(text)
    assert time.perf_counter() - started < SOON
    assert len(str(error.value)) < 400, "an error is to be read, and kept in a database"
    assert str(error.value).isprintable()


def test_the_same_holds_for_a_candidate_that_somebody_made_by_hand():
    for text in TEXTS:
        with pytest.raises(InvalidCandidate):
            Molecules().check(Candidate("molecule", {"smiles": text}))


def test_atoms_that_are_numbered_are_the_same_molecule():
    assert Molecules().candidate("[CH3:1][OH:2]") == Molecules().candidate("CO")


@given(st.text(max_size=60) | st.text(alphabet="CNOFcno123456789()[]=#@+-./\\%*:$~ ", max_size=40))
def test_any_text_is_a_molecule_or_turned_away(text):
    try:
        candidate = Molecules().candidate(text)
    except InvalidCandidate:
        return
    assert Molecules().candidate(candidate.text) == candidate


def test_a_molecule_as_long_as_may_be_is_read():
    text = "C" * LONGEST_SMILES
    assert read_smiles(text)[1] == text


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["smi", "csv"])
def file(request, tmp_path):
    """A file of hostile lines among which two are molecules."""
    lines = [text for text in TEXTS if text.isprintable() and text.strip() and not text.startswith(" ")]
    assert len(lines) > 40
    if request.param == "csv":
        quoted = ['"' + line.replace('"', '""') + '"' for line in ["CCO", *lines, "CCN"]]
        text = "\n".join(["smiles", *quoted])
    else:
        text = "\n".join(["CCO", *lines, "CCN"])
    path = tmp_path / f"hostile.{request.param}"
    path.write_text(text + "\n", encoding="utf-8")
    return path


def test_a_file_to_begin_with_yields_its_molecules(file):
    space = Molecules(file=str(file))
    assert {c.text for c in space.seeds()} == {"CCO", "CCN"}
    assert {c.text for c in space.sample(10, np.random.default_rng(0))} == {"CCO", "CCN"}


def test_a_library_holds_what_can_be_read(file):
    """A library holds whatever is a molecule at all, and turns the rest away row by row."""
    library = Library(file=str(file), smiles="smiles")
    held = [candidate for batch in library.iterate() for candidate in batch]
    assert {"CCO", "CCN"} <= {c.text for c in held}
    assert all(len(c.text) <= LONGEST_SMILES for c in held)
    sampled = library.sample(library.size, np.random.default_rng(0))
    assert {c.hash for c in sampled} == {c.hash for c in held}


def test_gates_turn_away_what_a_library_lets_in(file):
    library = Library(file=str(file), smiles="smiles")
    keeper = Gatekeeper(gates_from_data(["charges", {"size": "2..9"}, {"rings": 2}]))
    assert {c.text for batch in library.iterate() for c in batch if keeper.admits(c)} >= {"CCO", "CCN"}
    counts = keeper.take_counts()
    assert counts["size"]["more than 9"] >= 1
    assert counts["charges"]["a radical"] == 1
    assert sum(counts["charges"].values()) >= 4


def test_a_file_of_known_molecules_may_hold_anything(file):
    keeper = Gatekeeper(gates_from_data([{"novelty": str(file)}]))
    admitted = [keeper.admits(Candidate("molecule", {"smiles": smiles})) for smiles in ("CCO", "CCN", "CCC")]
    assert admitted == [False, False, True]
