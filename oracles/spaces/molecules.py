"""The design space of small neutral molecules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.refusals import Broken, Refusal
from theoros.oracles.spaces.starting_molecules import check_file, drawn, everything, path_of

#: The elements that a space may name: one string, because that is how a person reads the periodic table.
SYMBOLS = frozenset(
    re.findall(
        "[A-Z][a-z]?",
        "HHeLiBeBCNOFNeNaMgAlSiPSClArKCaScTiVCrMnFeCoNiCuZnGaGeAsSeBrKrRbSrYZr"
        "NbMoTcRuRhPdAgCdInSnSbTeIXeCsBaLaHfTaWReOsIrPtAuHgTlPbBi",
    )
)

#: Longer texts (characters) are refused unread: the time for canonical SMILES grows with the square of their length.
LONGEST_SMILES = 1000
#: So much of a text (characters) stands in an error: whoever reads it can tell which one it was.
_SHOWN = 100


def read_smiles(text: Any) -> tuple[Any, str]:
    """Parse and sanitise; return the RDKit molecule and its canonical SMILES (stereo marks kept, atom numbers not).

    Raises InvalidCandidate for text that is no SMILES, or a very long one, and for molecules whose valences are
    impossible.
    """
    from rdkit import Chem, rdBase

    if not isinstance(text, str) or not text.strip():
        raise InvalidCandidate(f"{_shown(text)} is not a SMILES", Refusal.UNREADABLE)
    written = text.strip()
    if len(written) > LONGEST_SMILES:
        told = f"{_shown(text)} has {len(written)} characters, and a SMILES {LONGEST_SMILES} at most"
        raise InvalidCandidate(told, Refusal.SIZE)
    if not (written.isascii() and written.isprintable()):  # RDKit would pass over some, and stop reading at others
        told = f"{_shown(text)} is not a valid SMILES: it holds characters that no SMILES has"
        raise InvalidCandidate(told, Refusal.UNREADABLE)
    with rdBase.BlockLogs():
        molecule: Any = Chem.MolFromSmiles(written)
        if molecule is None:
            readable = Chem.MolFromSmiles(written, sanitize=False) is not None
            reason = "its valences or rings are impossible" if readable else "it can't be read"
            kind = Refusal.VALENCE if readable else Refusal.UNREADABLE
            raise InvalidCandidate(f"{_shown(text)} is not a valid SMILES: {reason}", kind)
        if ":" in written:
            for atom in molecule.GetAtoms():  # numbers of atoms are notes on a drawing, and make no other molecule
                atom.SetAtomMapNum(0)
        # A second round makes the text a fixed point: what it reads as writes itself again.
        canonical = Chem.MolToSmiles(molecule)
        if canonical == written:
            return molecule, canonical  # a second round would read the same text
        again: Any = Chem.MolFromSmiles(canonical) if len(canonical) <= LONGEST_SMILES else None
    if again is None:
        told = f"{_shown(text)} has no canonical form: RDKit can't read its own {_shown(canonical)}"
        raise InvalidCandidate(told, Refusal.UNREADABLE)
    return again, str(Chem.MolToSmiles(again))


def _shown(text: Any) -> str:
    """`text` as an error shows it: in ASCII, and cut."""
    full = ascii(text)
    return full if len(full) <= _SHOWN else f"{full[:_SHOWN]}..."


@dataclass(frozen=True, init=False)
class Molecules:
    """Neutral closed-shell molecules of given elements and size, written as SMILES.

    `heavy_atoms` is (fewest, most). `max_ring_size` bounds the smallest set of smallest rings. `forbid` are SMARTS that
    no molecule may contain. With `alerts` (the default) molecules that break a rule of
    `theoros.oracles.spaces.stability` are rejected. Net charge is zero, and charged atoms are accepted only as pairs
    of neighbours (nitro, azide, N-oxide, isonitrile). Stereo marks are removed unless `stereo` is set, so that a
    molecule is its constitution. Tautomers are different candidates.

    Search begins with the shipped set of small molecules, or with those of a `file` of the user's own (.smi, or CSV or
    Parquet with a column ``smiles``; ``zinc250k`` is one of 249,456 drug-like molecules that the extra ``zinc`` brings)
    that lie in the space; `sha256` pins what it holds.

    Raises SpaceError for unknown elements, an empty size range, SMARTS that can't be read, or a file that is missing.
    """

    elements: tuple[str, ...]
    heavy_atoms: tuple[int, int]
    max_ring_size: int | None
    forbid: tuple[str, ...]
    alerts: bool
    stereo: bool
    file: str | None
    sha256: str | None = field(compare=False)

    def __init__(
        self,
        elements: Iterable[str] = ("C", "N", "O", "F", "S"),
        heavy_atoms: tuple[int, int] = (1, 9),
        max_ring_size: int | None = None,
        forbid: Iterable[str] = (),
        alerts: bool = True,
        stereo: bool = False,
        file: str | None = None,
        sha256: str | None = None,
    ) -> None:
        object.__setattr__(self, "elements", _checked_elements(elements))
        object.__setattr__(self, "heavy_atoms", _checked_range(heavy_atoms))
        if max_ring_size is not None and (not isinstance(max_ring_size, int) or max_ring_size < 3):
            raise SpaceError(("max_ring_size",), f"{max_ring_size!r} is no size of a ring. Give 3 or more.")
        object.__setattr__(self, "max_ring_size", max_ring_size)
        object.__setattr__(self, "forbid", (forbid,) if isinstance(forbid, str) else tuple(forbid))
        for i, pattern in enumerate(self.forbid):
            _pattern(pattern, i)
        object.__setattr__(self, "alerts", bool(alerts))
        object.__setattr__(self, "stereo", bool(stereo))
        object.__setattr__(self, "file", None if file is None else str(file))
        object.__setattr__(self, "sha256", sha256)
        if self.file is not None:
            check_file(self.file, sha256)

    @property
    def kind(self) -> str:
        """The kind of its candidates."""
        return "molecule"

    @property
    def is_finite(self) -> bool:
        """False: molecules are generated, not listed."""
        return False

    def candidate(self, data: Any) -> Candidate:
        """Canonicalise a SMILES, ``{"smiles": ...}`` or a candidate; raises InvalidCandidate naming the broken rule."""
        smiles = _smiles_of(data)
        molecule, canonical = read_smiles(smiles)
        if not self.stereo and any(mark in canonical for mark in "@/\\"):
            from rdkit import Chem

            Chem.RemoveStereochemistry(molecule)
            molecule, canonical = read_smiles(Chem.MolToSmiles(molecule))
        if problem := self._problem(molecule):
            name = canonical if len(canonical) <= _SHOWN else f"{canonical[:_SHOWN]}..."
            raise InvalidCandidate(f"{name} is not in the space: {problem.told}", problem.reason)
        return Candidate("molecule", {"smiles": canonical})

    def reading(self, smiles: str | None, refused: Callable[[str], object] | None = None) -> Candidate | None:
        """The molecule of the space that a generator's text is read as; None where it is none.

        Then `refused` is told the reason (`theoros.oracles.spaces.refusals`).
        """
        try:
            if smiles is not None:
                return self.candidate(smiles)
            reason: str = Refusal.NOTHING
        except InvalidCandidate as error:
            reason = error.reason or Refusal.OTHER
        if refused is not None:
            refused(str(reason))
        return None

    def check(self, candidate: Candidate) -> None:
        """Raise InvalidCandidate when `candidate` is not in the space, or not in its canonical form."""
        if candidate.kind != self.kind:
            raise InvalidCandidate(f"a candidate of kind {candidate.kind!r} is not one of {self.kind!r}")
        if self.candidate(candidate.data) != candidate:
            raise InvalidCandidate(f"{candidate.text} is not canonical; build it with the space's candidate()")

    def sample(self, n: int, rng: np.random.Generator) -> list[Candidate]:
        """Draw up to `n` distinct molecules uniformly from `seeds()`.

        The shipped set covers C, N, O, F and S up to nine heavy atoms. A space that reaches further (larger molecules,
        other elements) is sampled only where the set lies, and fewer than `n` are returned when it holds fewer; give it
        a `file`.
        """
        return drawn(self, n, rng)

    def seeds(self) -> list[Candidate]:
        """The molecules of the shipped set (`oracles/data/small_molecules.smi`), or of the `file`, in this space."""
        return everything(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON data from which `space_from_dict` builds an equal space."""
        data: dict[str, Any] = {"elements": list(self.elements), "heavy_atoms": list(self.heavy_atoms)}
        if self.max_ring_size is not None:
            data["max_ring_size"] = self.max_ring_size
        if self.forbid:
            data["forbid"] = list(self.forbid)
        if not self.alerts:
            data["alerts"] = False
        if self.stereo:
            data["stereo"] = True
        if self.file is not None:
            data |= {"file": self.file, "sha256": self.sha256 or table.sha256(path_of(self.file))}
        return {"molecules": data}

    def _problem(self, molecule: Any) -> Broken | None:
        """Which rule an RDKit molecule breaks, or None. Cheap rules come first."""
        low, high = self.heavy_atoms
        count = molecule.GetNumHeavyAtoms()
        if not low <= count <= high:
            return Broken(f"it has {count} heavy atoms, allowed are {low}..{high}", Refusal.SIZE)
        return (
            _atom_problem(molecule, self.elements)
            or _bond_problem(molecule)
            or self._ring_problem(molecule)
            or self._forbidden(molecule)
            or (self._alert(molecule) if self.alerts else None)
        )

    def _ring_problem(self, molecule: Any) -> Broken | None:
        if self.max_ring_size is None:
            return None
        largest = max((len(ring) for ring in molecule.GetRingInfo().AtomRings()), default=0)
        if largest > self.max_ring_size:
            return Broken(f"it has a ring of {largest} atoms, allowed are {self.max_ring_size}", Refusal.RING)
        return None

    def _forbidden(self, molecule: Any) -> Broken | None:
        for i, smarts in enumerate(self.forbid):
            if molecule.HasSubstructMatch(_pattern(smarts, i)):
                return Broken(f"it contains the forbidden {smarts}", Refusal.FORBIDDEN, smarts)
        return None

    def _alert(self, molecule: Any) -> Broken | None:
        from theoros.oracles.spaces.stability import broken_rule

        rule = broken_rule(molecule)
        return Broken(f"it breaks the stability rule '{rule}'", Refusal.STABILITY, rule) if rule else None


def _checked_elements(elements: Iterable[str]) -> tuple[str, ...]:
    listed = [elements] if isinstance(elements, str) else list(elements)
    for i, symbol in enumerate(listed):
        if not isinstance(symbol, str) or symbol not in SYMBOLS:
            raise SpaceError(("elements", i), f"{symbol!r} is no element's symbol. Write for example C, N, O.")
    # Hydrogens are implied, so naming them changes nothing.
    heavy = tuple(dict.fromkeys(symbol for symbol in listed if symbol != "H"))
    if not heavy:
        raise SpaceError(("elements",), "no element but hydrogen is left. Name at least one.")
    return heavy


def _checked_range(heavy_atoms: Any) -> tuple[int, int]:
    try:
        low, high = heavy_atoms
        valid = not isinstance(low, bool) and int(low) == low and int(high) == high and 1 <= low <= high
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise SpaceError(("heavy_atoms",), f"{heavy_atoms!r} is no range of sizes. Write for example 2..9.")
    return int(low), int(high)


def _smiles_of(data: Any) -> Any:
    if isinstance(data, Candidate):
        data = data.data
    if isinstance(data, Mapping):
        if set(data) != {"smiles"}:
            told = f"{_shown(data)} is not a molecule; give a SMILES or {{'smiles': ...}}"
            raise InvalidCandidate(told, Refusal.UNREADABLE)
        return data["smiles"]
    return data


def _atom_problem(molecule: Any, elements: tuple[str, ...]) -> Broken | None:
    """Elements, isotopes, radicals, charges and fragments."""
    net_charge = 0
    for atom in map(molecule.GetAtomWithIdx, range(molecule.GetNumAtoms())):  # RDKit's own iteration is twice as slow
        symbol = atom.GetSymbol()
        if symbol not in elements and symbol != "H":
            return Broken(f"it contains {symbol}, allowed are {', '.join(elements)}", Refusal.ELEMENT)
        if symbol == "H" or atom.GetIsotope():
            return Broken("it names an isotope or a bare hydrogen", Refusal.ISOTOPE)
        if atom.GetNumRadicalElectrons():
            return Broken(f"its atom {symbol} is a radical", Refusal.RADICAL)
        charge = atom.GetFormalCharge()
        net_charge += charge
        if charge and not any(neighbour.GetFormalCharge() * charge < 0 for neighbour in atom.GetNeighbors()):
            told = "it carries a charge that no neighbouring atom balances; write its neutral form"
            return Broken(told, Refusal.CHARGE)
    if net_charge:
        return Broken(f"its net charge is {net_charge:+d}", Refusal.CHARGE)
    if len(_fragments(molecule)) > 1:
        return Broken("it consists of several fragments", Refusal.FRAGMENTS)
    return None


def _bond_problem(molecule: Any) -> Broken | None:
    """Bonds that no valence explains: dative, quadruple, of order zero, ..."""
    from rdkit.Chem import BondType

    known = {BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC}
    if any(molecule.GetBondWithIdx(i).GetBondType() not in known for i in range(molecule.GetNumBonds())):
        return Broken("it has a bond that is neither single, double, triple nor aromatic", Refusal.BOND)
    return None


def _fragments(molecule: Any) -> tuple[tuple[int, ...], ...]:
    from rdkit import Chem

    return tuple(Chem.GetMolFrags(molecule))


@lru_cache(maxsize=256)
def _pattern(smarts: Any, index: int) -> Any:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts) if isinstance(smarts, str) and smarts else None
    if pattern is None:
        raise SpaceError(("forbid", index), f"{smarts!r} can't be read as SMARTS. Give text such as '[N+](=O)[O-]'.")
    return pattern
