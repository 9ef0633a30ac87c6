"""Properties of molecules that need no oracle, for constraints such as ``sa_score <= 4``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from theoros.oracles.candidate import Candidate


@dataclass(frozen=True)
class Property:
    """A number that a molecule has: its unit (Pint; ``""`` is dimensionless), what it means, and an RDKit function."""

    unit: str
    description: str
    function: Callable[[Any], float]


@lru_cache(maxsize=1)
def _sascorer() -> Any:
    """RDKit's contributed scorer, which is shipped beside RDKit and not as a package."""
    from rdkit import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("theoros_sascorer", path)
    if spec is None or spec.loader is None or not path.exists():
        raise ImportError(f"RDKit's SA_Score is not at {path}. Install RDKit from PyPI: pip install rdkit.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sa_score(molecule: Any) -> float:
    return float(_sascorer().calculateScore(molecule))


def _heavy_atoms(molecule: Any) -> float:
    return float(molecule.GetNumHeavyAtoms())


def _descriptor(module: str, name: str) -> Callable[[Any], float]:
    """The RDKit function `name` of `module`, imported when it is first called."""

    def function(molecule: Any) -> float:
        return float(getattr(importlib.import_module(module), name)(molecule))

    return function


_DESCRIPTORS = "rdkit.Chem.rdMolDescriptors"

#: Name -> property. Sources: Ertl & Schuffenhauer 2009 (doi:10.1186/1758-2946-1-8), Wildman & Crippen 1999
#: (doi:10.1021/ci990307l), Ertl et al. 2000 (doi:10.1021/jm000942e), Bickerton et al. 2012 (doi:10.1038/nchem.1243).
PROPERTIES: Mapping[str, Property] = {
    "sa_score": Property("", "synthetic accessibility, 1 (easy) to 10 (hard), Ertl & Schuffenhauer", _sa_score),
    "heavy_atoms": Property("", "number of atoms other than hydrogen", _heavy_atoms),
    "molecular_weight": Property("dalton", "average molecular mass", _descriptor("rdkit.Chem.Descriptors", "MolWt")),
    "logp": Property("", "octanol-water log P, Wildman & Crippen", _descriptor("rdkit.Chem.Crippen", "MolLogP")),
    "tpsa": Property("angstrom^2", "topological polar surface area, Ertl", _descriptor(_DESCRIPTORS, "CalcTPSA")),
    "rings": Property("", "number of rings (SSSR)", _descriptor(_DESCRIPTORS, "CalcNumRings")),
    "rotatable_bonds": Property("", "number of rotatable bonds", _descriptor(_DESCRIPTORS, "CalcNumRotatableBonds")),
    "h_bond_donors": Property("", "number of hydrogen-bond donors", _descriptor(_DESCRIPTORS, "CalcNumHBD")),
    "h_bond_acceptors": Property("", "number of hydrogen-bond acceptors", _descriptor(_DESCRIPTORS, "CalcNumHBA")),
    "qed": Property("", "estimate of drug-likeness, 0 to 1, Bickerton", _descriptor("rdkit.Chem.QED", "qed")),
}


def evaluate(name: str, candidate: Candidate) -> float:
    """The property `name` of a candidate of kind ``"molecule"``, in the property's unit.

    Raises ValueError for an unknown name (with close matches) or another kind of candidate, InvalidCandidate for a
    SMILES that can't be read.
    """
    if name not in PROPERTIES:
        close = difflib.get_close_matches(name, PROPERTIES, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(PROPERTIES)}."
        raise ValueError(f"there is no molecular property {name!r}. {hint}")
    if candidate.kind != "molecule":
        raise ValueError(f"{name} is a property of molecules, and {candidate.text} is none")
    return _evaluate(name, str(candidate.data["smiles"]))


@lru_cache(maxsize=100_000)
def _evaluate(name: str, smiles: str) -> float:
    from theoros.oracles.spaces.molecules import read_smiles

    molecule, _ = read_smiles(smiles)
    return PROPERTIES[name].function(molecule)
