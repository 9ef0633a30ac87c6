"""Reactions of a candidate: what it becomes, with which partners, and the energy that this takes.

The energy of a reaction is that of all products minus that of all reactants, each molecule in the geometry that the
oracle would give it as a candidate: electronic energies, without vibrations. Where the rules give several products (two
double bonds, several basic sites), the one with the lowest energy counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from theoros.oracles.failures import InvalidCandidate

#: Products of one candidate that are computed at most.
MOST_PRODUCTS = 12

#: Unpaired electrons of molecules whose SMILES writes them otherwise: by canonical SMILES.
SPINS: Mapping[str, int] = {"O=O": 2, "O=S": 2, "S=S": 2, "[C]#[C]": 0}
#: Neighbours with a lone pair, which makes a carbene a singlet.
_DONORS = frozenset({"N", "O", "F", "P", "S", "Cl", "Se", "Br", "I"})

Partners = dict[str, Annotated[int, Field(ge=1, le=20)]]

#: Reactions with a name. Hydrogenation adds a hydrogen molecule to one double or triple bond; protonation moves a
#: proton from hydronium to the candidate, so its energy is water's proton affinity minus the candidate's.
NAMED: Mapping[str, Mapping[str, Any]] = {
    "hydrogenation": {
        "smarts": ["[C,N;+0:1]=[C,N,O;+0:2]>>[*:1]-[*:2]", "[C;+0:1]#[C,N;+0:2]>>[*:1]=[*:2]"],
        "reactants": {"[H][H]": 1},
    },
    "protonation": {"smarts": "[N,O,S,P;+0:1]>>[*+1:1]", "reactants": {"[OH3+]": 1}, "products": {"O": 1}},
}


class Reaction(BaseModel):
    """A reaction that a candidate undergoes: a name (`NAMED`), or its rules and partners.

    `smarts` are reaction SMARTS with the candidate as the only reactant, each applied once, to its aromatic and its
    Kekule form. `reactants` and `products` are the partners, as numbers of SMILES: ``{"[H][H]": 1}``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    smarts: Annotated[tuple[str, ...], Field(min_length=1)]
    reactants: Partners = {}
    products: Partners = {}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        if isinstance(data, str):
            if data not in NAMED:
                raise ValueError(f"no reaction is called {data!r}; there are {', '.join(NAMED)}, or give its smarts")
            data = NAMED[data]
        if isinstance(data, Mapping) and isinstance(data.get("smarts"), str):
            return {**data, "smarts": [data["smarts"]]}
        return data

    @model_validator(mode="after")
    def _readable(self) -> Reaction:
        for smarts in self.smarts:
            if _rule(smarts).GetNumReactantTemplates() != 1:
                raise ValueError(f"{smarts!r} must have one reactant, the candidate; name others under reactants")
        for smiles in (*self.reactants, *self.products):
            try:
                electrons = _electrons(smiles)
            except InvalidCandidate as error:
                raise ValueError(str(error)) from None
            if electrons < 1:
                raise ValueError(f"the partner {smiles!r} has no electrons to compute; let '[OH3+]' give a proton")
        return self

    def theory(self) -> dict[str, Any]:
        """What changes an answer, as JSON data."""
        return self.model_dump(mode="json")


def reaction_energy(
    reaction: Reaction, smiles: str, energy: float, energy_of: Callable[[str], float]
) -> tuple[float, dict[str, Any]]:
    """The energy (eV) of a candidate's reaction, and what it gives, as JSON data.

    `energy` is the candidate's, `energy_of` that of another molecule by its SMILES. Raises InvalidCandidate where the
    rules don't apply, give no possible molecule or too many, or where atoms or charge are not kept.
    """
    possible = outcomes(reaction, smiles)
    before = energy + sum(count * energy_of(partner) for partner, count in reaction.reactants.items())
    beside = sum(count * energy_of(partner) for partner, count in reaction.products.items())
    energies = [sum(energy_of(molecule) for molecule in molecules) + beside - before for molecules in possible]
    lowest = min(range(len(energies)), key=energies.__getitem__)
    return energies[lowest], {"products": list(possible[lowest]), "outcomes": len(possible)}


def outcomes(reaction: Reaction, smiles: str) -> list[tuple[str, ...]]:
    """What the candidate can become, without the partners: canonical SMILES, sorted. Raises as `reaction_energy`.

    Where a rule applies at several places, those count at which atoms and charge are kept.
    """
    from rdkit import Chem, rdBase

    found = set()
    with rdBase.BlockLogs():
        aromatic = _without_brackets(_molecule(smiles))
        kekule = Chem.Mol(aromatic)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        for smarts in reaction.smarts:
            for form in (aromatic, kekule):
                for molecules in _rule(smarts).RunReactants((form,)):
                    if (named := _sanitised(molecules)) is not None:
                        found.add(named)
    if not found:
        raise InvalidCandidate(f"the reaction {' or '.join(reaction.smarts)} does not apply to {smiles!r}")
    balanced, problems = [], []
    for named in sorted(found):
        if (problem := _imbalance(reaction, smiles, named)) is None:
            balanced.append(named)
        else:
            problems.append(problem)
    if not balanced:
        raise InvalidCandidate(problems[0])
    if len(balanced) > MOST_PRODUCTS:
        raise InvalidCandidate(f"the reaction has {len(balanced)} outcomes for {smiles!r}, more than {MOST_PRODUCTS}")
    return balanced


def spin_of(smiles: str) -> int:
    """The number of unpaired electrons in the ground state of what a SMILES writes.

    They are the SMILES' radicals, but for O2, SO and S2 (triplets that are written with a double bond) and C2; bare
    atoms, which have Hund's (an ion that of the element with as many electrons); and carbenes: a carbon with two is a
    singlet beside a lone pair or with a double bond, and so are silylenes (doi:10.1021/cr940472u). Raises
    InvalidCandidate.
    """
    from ase.data import ground_state_magnetic_moments
    from rdkit import Chem

    molecule = _molecule(smiles)
    if (known := SPINS.get(Chem.MolToSmiles(molecule))) is not None:
        return known
    atoms = list(molecule.GetAtoms())
    if len(atoms) == 1 and not atoms[0].GetTotalNumHs():
        return round(float(ground_state_magnetic_moments[atoms[0].GetAtomicNum() - atoms[0].GetFormalCharge()]))
    return sum(0 if _pairs(atom) else atom.GetNumRadicalElectrons() for atom in atoms)


def _pairs(atom: Any) -> bool:
    """Whether the two electrons that a SMILES leaves to an atom are a lone pair: of a singlet carbene or silylene."""
    if atom.GetNumRadicalElectrons() != 2 or atom.GetSymbol() not in {"C", "Si", "Ge", "Sn"}:
        return False
    double = any(bond.GetBondTypeAsDouble() == 2 for bond in atom.GetBonds())
    return atom.GetSymbol() != "C" or double or any(other.GetSymbol() in _DONORS for other in atom.GetNeighbors())


def _without_brackets(molecule: Any) -> Any:
    """RDKit's molecule with hydrogens left to valence where it gives as many: written ones, a rule couldn't change."""
    from rdkit import Chem

    free = Chem.Mol(molecule)
    for atom in free.GetAtoms():
        if not atom.GetNoImplicit() or atom.GetNumRadicalElectrons():
            continue
        hydrogens, written = atom.GetTotalNumHs(), atom.GetNumExplicitHs()
        for explicit, fixed in ((0, False), (written, True)):
            atom.SetNumExplicitHs(explicit)
            atom.SetNoImplicit(fixed)
            atom.UpdatePropertyCache(strict=False)
            if atom.GetTotalNumHs() == hydrogens:
                break
    return free


def _sanitised(molecules: Iterable[Any]) -> tuple[str, ...] | None:
    """Canonical SMILES, sorted; None where one can't be."""
    from rdkit import Chem

    try:
        for molecule in molecules:
            Chem.SanitizeMol(molecule)
    except (Chem.MolSanitizeException, ValueError):
        return None
    return tuple(sorted(Chem.MolToSmiles(molecule) for molecule in molecules))


def _imbalance(reaction: Reaction, smiles: str, products: Iterable[str]) -> str | None:
    """What the reaction doesn't keep, as a sentence; None where it keeps atoms and charge."""
    before, after = _contents(smiles), Counter[str]()
    for molecule in products:
        after.update(_contents(molecule))
    for partners, side in ((reaction.reactants, before), (reaction.products, after)):
        for partner, count in partners.items():
            for name, number in _contents(partner).items():
                side[name] += count * number
    wrong = sorted(name for name in before | after if before[name] != after[name])
    if not wrong:
        return None
    return (
        f"the reaction of {smiles!r} to {' + '.join(products)} doesn't keep {', '.join(wrong)}: "
        f"{[before[name] for name in wrong]} before, {[after[name] for name in wrong]} after; "
        f"add reactants or products"
    )


def _contents(smiles: str) -> Counter[str]:
    """Atoms of each element, hydrogens included, and the ``charge``."""
    from rdkit import Chem

    molecule = Chem.AddHs(_molecule(smiles))
    found = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
    found["charge"] = Chem.GetFormalCharge(molecule)
    return found


def _electrons(smiles: str) -> int:
    from rdkit import Chem

    molecule = Chem.AddHs(_molecule(smiles))
    return sum(atom.GetAtomicNum() for atom in molecule.GetAtoms()) - int(Chem.GetFormalCharge(molecule))


@lru_cache(maxsize=1024)
def _molecule(smiles: str) -> Any:
    """RDKit's molecule; raises InvalidCandidate."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    return molecule


@lru_cache(maxsize=64)
def _rule(smarts: str) -> Any:
    """RDKit's reaction; raises ValueError for one that it can't read."""
    from rdkit import rdBase
    from rdkit.Chem import rdChemReactions

    with rdBase.BlockLogs():
        try:
            rule = rdChemReactions.ReactionFromSmarts(smarts)
        except ValueError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"RDKit can't read the reaction {smarts!r}: {reason}") from None
        rule.Initialize()
    return rule
