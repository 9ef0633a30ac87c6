"""What the scoring functions of PMO are made of: fingerprints, modifiers, components and means.

A component is a number in [0, 1] of a molecule. The modifiers are those of GuacaMol (Brown, Fiscato, Segler & Vaucher,
J. Chem. Inf. Model. 59, 1096 (2019), doi:10.1021/acs.jcim.8b00839).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from rdkit import Chem, DataStructs
from rdkit.Chem import GraphDescriptors, rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
from rdkit.Chem.QED import qed

#: ``ecfp4`` and ``ecfp6`` are Morgan environments of up to two and three bonds, ``fcfp4`` those of two bonds with the
#: roles of the atoms instead of their elements, ``pairs`` atom pairs at up to ten bonds: all four are counts, and not
#: folded. ``pharmacophore`` is Gobbi's fingerprint (Gobbi & Poppinger, Biotechnol. Bioeng. 61, 47 (1998)): bits.
Fingerprint = Literal["ecfp4", "ecfp6", "fcfp4", "pairs", "pharmacophore"]

#: Maps what was measured to [0, 1].
Modifier = Callable[[float], float]

#: A number in [0, 1] of an RDKit molecule.
Component = Callable[[Any], float]


@cache
def _generator(kind: Fingerprint) -> Callable[[Any], Any]:
    if kind == "pharmacophore":
        return lambda molecule: Generate.Gen2DFingerprint(molecule, Gobbi_Pharm2D.factory)  # type: ignore[no-untyped-call]
    if kind == "pairs":
        return _counts(rdFingerprintGenerator.GetAtomPairGenerator(maxDistance=10))
    if kind == "fcfp4":
        roles = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
        return _counts(rdFingerprintGenerator.GetMorganGenerator(radius=2, atomInvariantsGenerator=roles))
    return _counts(rdFingerprintGenerator.GetMorganGenerator(radius=2 if kind == "ecfp4" else 3))


def _counts(generator: Any) -> Callable[[Any], Any]:
    counted: Callable[[Any], Any] = generator.GetSparseCountFingerprint
    return counted


@cache
def _target(smiles: str, kind: Fingerprint) -> Any:
    return _generator(kind)(Chem.MolFromSmiles(smiles))


@cache
def _pattern(smarts: str) -> Any:
    return Chem.MolFromSmarts(smarts)


def clipped(upper: float) -> Modifier:
    """In proportion up to `upper`, and 1 from there on."""
    return lambda x: min(x / upper, 1.0)


def near(mean: float, width: float) -> Modifier:
    """A Gaussian: 1 at `mean`, exp(-1/2) at a distance of `width`."""
    return lambda x: math.exp(-0.5 * ((x - mean) / width) ** 2)


def at_least(bound: float, width: float) -> Modifier:
    """1 from `bound` on, the flank of a Gaussian below."""
    flank = near(bound, width)
    return lambda x: flank(min(x, bound))


def at_most(bound: float, width: float) -> Modifier:
    """1 up to `bound`, the flank of a Gaussian above."""
    flank = near(bound, width)
    return lambda x: flank(max(x, bound))


def unchanged(x: float) -> float:
    """What was measured is in [0, 1] already."""
    return x


#: The properties of a molecule: the logarithm of its partition between octanol and water (Wildman & Crippen), its polar
#: surface in Å², Bertz's index of complexity, its drug-likeness, and how many of something it has.
PROPERTIES: Mapping[str, Callable[[Any], float]] = {
    "logp": lambda molecule: rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
    "tpsa": rdMolDescriptors.CalcTPSA,
    "bertz": GraphDescriptors.BertzCT,
    "qed": qed,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "fluorines": lambda molecule: sum(atom.GetAtomicNum() == 9 for atom in molecule.GetAtoms()),
}


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to a drug."""

    smiles: str
    kind: Fingerprint
    modifier: Modifier = unchanged

    def __call__(self, molecule: Any) -> float:
        """Similarity, modified."""
        found = DataStructs.TanimotoSimilarity(_target(self.smiles, self.kind), _generator(self.kind)(molecule))
        return self.modifier(found)


@dataclass(frozen=True)
class Property:
    """One of the `PROPERTIES`."""

    name: str
    modifier: Modifier = unchanged

    def __call__(self, molecule: Any) -> float:
        """Property, modified."""
        return self.modifier(float(PROPERTIES[self.name](molecule)))


def like(smiles: str, name: str, width: float) -> Property:
    """A property near that of a given molecule."""
    return Property(name, near(float(PROPERTIES[name](Chem.MolFromSmiles(smiles))), width))


@dataclass(frozen=True)
class Pattern:
    """Whether a SMARTS pattern is there, or is not there: 1 or 0."""

    smarts: str
    there: bool = True

    def __call__(self, molecule: Any) -> float:
        """1.0 or 0.0."""
        return float(molecule.HasSubstructMatch(_pattern(self.smarts)) == self.there)


@dataclass(frozen=True)
class Formula:
    """How near a molecule's formula, hydrogens included, comes to a given one.

    The geometric mean of a Gaussian of width 1 for each element of the formula and one of width 2 for the number of
    atoms.
    """

    atoms: Mapping[str, int]

    def __call__(self, molecule: Any) -> float:
        """Nearness of the formula."""
        found: Counter[str] = Counter(atom.GetSymbol() for atom in Chem.AddHs(molecule).GetAtoms())
        elements = [near(wanted, 1.0)(found[element]) for element, wanted in self.atoms.items()]
        return geometric([*elements, near(sum(self.atoms.values()), 2.0)(found.total())])


def geometric(values: list[float]) -> float:
    """The geometric mean: nothing where one of them is nothing."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(values) else 0.0


def arithmetic(values: list[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


@dataclass(frozen=True)
class Mean:
    """A mean of components, which is a component itself."""

    mean: Callable[[list[float]], float]
    components: tuple[Component, ...]

    def __call__(self, molecule: Any) -> float:
        """The mean, in [0, 1]."""
        return self.mean([component(molecule) for component in self.components])
