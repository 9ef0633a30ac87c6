"""Gates that look at a molecule's graph: fast enough for every molecule that a generator meets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from theoros.oracles.spaces import table
from theoros.oracles.spaces.gates.base import Subject
from theoros.oracles.spaces.starting_molecules import file_smiles

#: The alert collections of RDKit's FilterCatalog by the names that a campaign file gives them.
#:
#: Sources: Baell and Holloway, doi:10.1021/jm901137j (PAINS); Brenk et al., doi:10.1002/cmdc.200700139 (BRENK);
#: Jadhav et al., doi:10.1021/jm901070c, and Doveston et al., doi:10.1039/C4OB02287D (NIH); Irwin and Shoichet,
#: doi:10.1021/ci049714+ (ZINC); the ChEMBL structural alerts, Gaulton et al., doi:10.1093/nar/gkw1074 (CHEMBL).
COLLECTIONS = ("pains", "brenk", "nih", "zinc", "chembl")


@dataclass(frozen=True)
class Alerts:
    """Turns away what an alert collection warns of: groups that react, colour or bind everything in an assay.

    They were made for drug screening, and reject much that is harmless elsewhere (`theoros.oracles.spaces.stability`).
    """

    collections: tuple[str, ...]
    name: str = "alerts"
    late: ClassVar[bool] = False

    def reason(self, subject: Subject) -> str | None:
        """The first alert that matches, with its collection: ``"brenk: aldehyde"``."""
        for collection in self.collections:
            entry = _catalog(collection).GetFirstMatch(subject.molecule)
            if entry is not None:
                return f"{collection}: {entry.GetDescription()}"
        return None


@lru_cache(maxsize=len(COLLECTIONS))
def _catalog(collection: str) -> Any:
    from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

    parameters = FilterCatalogParams()
    parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, collection.upper()))
    return FilterCatalog(parameters)


@dataclass(frozen=True)
class Within:
    """Turns away molecules of which a property, in its own unit, is out of bounds; None is no bound.

    `quantity` is a name of `theoros.oracles.spaces.molecule_properties.PROPERTIES`.
    """

    quantity: str
    low: float | None
    high: float | None
    name: str
    late: ClassVar[bool] = False

    def reason(self, subject: Subject) -> str | None:
        """Which bound is broken: ``"more than 9"``."""
        from theoros.oracles.spaces.molecule_properties import PROPERTIES

        value = PROPERTIES[self.quantity].function(subject.molecule)
        if self.low is not None and not value >= self.low:
            return f"less than {self.low:g}"
        if self.high is not None and not value <= self.high:
            return f"more than {self.high:g}"
        return None


@dataclass(frozen=True)
class Neutral:
    """Turns away ions, radicals, salts, and charges that no neighbouring atom balances (a nitro group's are).

    A space of molecules holds none of these by itself; a library may.
    """

    name: str = "charges"
    late: ClassVar[bool] = False

    def reason(self, subject: Subject) -> str | None:
        """The first of these faults."""
        atoms = list(subject.molecule.GetAtoms())
        net = sum(atom.GetFormalCharge() for atom in atoms)
        if net:
            return f"a net charge of {net:+d}"
        if any(atom.GetNumRadicalElectrons() for atom in atoms):
            return "a radical"
        if "." in subject.smiles:
            return "several fragments"
        for atom in atoms:
            charge = atom.GetFormalCharge()
            if charge and not any(other.GetFormalCharge() * charge < 0 for other in atom.GetNeighbors()):
                return "a charge that no neighbour balances"
        return None


@dataclass(frozen=True)
class Novel:
    """Turns away molecules of a file (.smi, or CSV or Parquet with a column ``smiles``), stereo marks left aside."""

    file: str
    name: str = "novelty"
    late: ClassVar[bool] = False

    def reason(self, subject: Subject) -> str | None:
        """Whether it is known."""
        if _constitution(subject.smiles) in _known(table.file_state(self.file)):
            return "it is known"
        return None


@lru_cache(maxsize=4)
def _known(state: table.FileState) -> frozenset[str]:
    """The constitutions in a file; lines that are no molecules are passed over."""
    return frozenset(text for line in file_smiles(state.path) if (text := _constitution(line)) is not None)


def _constitution(smiles: str) -> str | None:
    """Canonical SMILES without stereo marks, None for what can't be read."""
    from rdkit import Chem

    from theoros.oracles.failures import InvalidCandidate
    from theoros.oracles.spaces.molecules import read_smiles

    try:
        molecule, canonical = read_smiles(smiles)
    except InvalidCandidate:
        return None
    if not any(mark in canonical for mark in "@/\\"):
        return canonical
    Chem.RemoveStereochemistry(molecule)
    return read_smiles(Chem.MolToSmiles(molecule))[1]
