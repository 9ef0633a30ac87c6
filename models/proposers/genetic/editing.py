"""What the graph operators share: an editable molecule in, a checked one out. Parents are never changed."""

from __future__ import annotations

from typing import Any

from rdkit import Chem

#: Valences that neutral atoms may have; operators add bonds only within them.
VALENCES = {"B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "P": 3, "S": 2, "Cl": 1, "Se": 2, "Br": 1, "I": 1}


def editable(molecule: Any) -> Any:
    """A Kekulé copy to edit: bonds are single, double or triple, and hydrogens follow from what is bonded.

    Hydrogens written out ([nH]) become implicit, so that a changed neighbourhood gets its own.
    """
    copy = Chem.RWMol(molecule)
    Chem.Kekulize(copy, clearAromaticFlags=True)
    for atom in copy.GetAtoms():
        if atom.GetFormalCharge() == 0:
            atom.SetNumExplicitHs(0)
            atom.SetNoImplicit(False)
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    copy.UpdatePropertyCache(strict=False)
    return copy


def finished(copy: Any) -> str | None:
    """The SMILES of an edited molecule, or None when it is impossible or in pieces."""
    molecule = copy.GetMol()
    if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    if any(_strange(atom) for atom in molecule.GetAtoms()):
        return None
    smiles = str(Chem.MolToSmiles(molecule))
    return None if "." in smiles or not smiles else smiles


def _strange(atom: Any) -> bool:
    """Hydrogen on sulfur or phosphorus above its lowest valence (SH4, PH5): RDKit allows it and chemistry does not."""
    symbol = atom.GetSymbol()
    return symbol in ("S", "P", "Se") and atom.GetTotalNumHs() > 0 and atom.GetTotalValence() > VALENCES[symbol]


def free_valence(atom: Any) -> int:
    """Hydrogens that a neutral atom could give up for bonds; 0 for charged atoms, which operators leave alone."""
    return int(atom.GetTotalNumHs()) if atom.GetFormalCharge() == 0 else 0
