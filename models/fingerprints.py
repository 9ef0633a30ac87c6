"""Molecules as bits: fingerprints whose Tanimoto similarities are those of counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theoros.models.descriptors import RANGES, descriptors
from theoros.models.mixing import mix_all, mixed
from theoros.models.subtrees import subtrees
from theoros.models.words import words
from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate

if TYPE_CHECKING:  # reports compare molecules without it
    from torch import Tensor


@dataclass(frozen=True)
class FingerprintEncoder:
    """Molecules as blocks of bits, whose Tanimoto similarities are the MinMax similarities of counts.

    A block has as many columns as its field says, and is left out when that is none:

    - `composition`: what a molecule is made of, not how it hangs together;
    - `columns`: its Morgan environments of up to `radius` bonds (Rogers & Hahn, J. Chem. Inf. Model. 50, 742 (2010),
      doi:10.1021/ci100050t);
    - `pairs`: its pairs of atoms with the distance between them (Carhart et al., J. Chem. Inf. Comput. Sci. 25, 64
      (1985), doi:10.1021/ci00046a002), which tell size and shape;
    - `levels`: its descriptors (`theoros.models.descriptors`), each in as many levels, with a column for every level
      reached and one for every level not reached. So the similarity is a function of the distance alone,
      ``(1 - d) / (1 + d)`` with ``d`` the mean difference of the descriptors in units of their ranges;
    - `subtrees`: its atoms' neighbourhoods as Weisfeiler and Lehman tell them (`theoros.models.subtrees`);
    - `words`: the words of its SMILES (`theoros.models.words`).

    From a few labels composition and descriptors teach much, and environments little, since hardly any is seen twice.
    """

    radius: int = 3
    columns: int = 4096
    composition: int = 512
    pairs: int = 4096
    levels: int = 64
    subtrees: int = 0
    words: int = 0

    @property
    def dimension(self) -> int:
        """Number of bits."""
        return sum(size for _, size in self._parts)

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """First and last-but-one column of each block."""
        ends = np.cumsum([size for _, size in self._parts]).tolist()
        return tuple((end - size, end) for (_, size), end in zip(self._parts, ends, strict=True))

    @property
    def categorical(self) -> tuple[int, ...]:
        """None."""
        return ()

    def encode(self, candidates: Sequence[Candidate]) -> Tensor:
        """Features ``n x d``, zeros and ones."""
        import torch

        features, parts = np.zeros((len(candidates), self.dimension)), self._parts
        for row, candidate in enumerate(candidates):
            features[row, _set_columns(str(candidate.data["smiles"]), parts)] = 1.0
        return torch.from_numpy(features)

    @property
    def _parts(self) -> tuple[tuple[str, int], ...]:
        """The blocks that have columns, by name."""
        every = {
            "composition": self.composition,
            f"morgan{self.radius}": self.columns,
            "pairs": self.pairs,
            "levels": 2 * len(RANGES) * self.levels,
            "subtrees": self.subtrees,
            "words": self.words,
        }
        return tuple((name, size) for name, size in every.items() if size)


#: Numbers of columns, kept for tens of thousands of molecules: in as few bytes as their largest needs.
Columns = NDArray[np.unsignedinteger[Any]]


def thermometer_bits(smiles: str, radius: int, columns: int) -> Columns:
    """The set bits of a molecule's thermometer-encoded count-Morgan fingerprint, sorted.

    Bit (environment, k) is set when the environment occurs at least k times, so that the overlap of two bit sets is
    the sum of the counts' minima. Environments are hashed with their k into `columns` bits.
    """
    return _block(smiles, f"morgan{radius}", columns)


@lru_cache(maxsize=50_000)
def _set_columns(smiles: str, parts: tuple[tuple[str, int], ...]) -> Columns:
    """The columns that are one in all blocks, some 2.5 kB for a drug."""
    first, found = 0, [np.zeros(0, dtype=np.int64)]
    for name, size in parts:
        found.append(_block(smiles, name, size).astype(np.int64) + first)
        first += size
    return _narrow(np.concatenate(found), first)


@lru_cache(maxsize=200_000)
def _block(smiles: str, name: str, columns: int) -> Columns:
    """The set bits of one block, kept: encoders have blocks in common, and others want some of them too."""
    return _narrow(_bits(parsed(smiles), name, columns), columns)


def _narrow(places: NDArray[Any], columns: int) -> Columns:
    """Places among so many columns in the fewest bytes."""
    return places.astype(np.min_scalar_type(max(columns - 1, 0)))


def _bits(molecule: Any, block: str, columns: int) -> NDArray[Any]:
    """The set bits of one block: for every count k of it, one for each number up to k."""
    if block == "levels":
        return _levels(molecule, columns // (2 * len(RANGES)))
    counts = COUNTED[block](molecule) if block in COUNTED else _counted(molecule, block)
    keys = np.fromiter(counts.keys(), np.uint64, len(counts))
    times = np.fromiter(counts.values(), np.int64, len(counts))
    upto = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)  # 0 ... count - 1 of every key
    return np.unique(mixed(np.repeat(keys, times), upto.astype(np.uint64)) % np.uint64(columns))


def _counted(molecule: Any, block: str) -> Mapping[int, int]:
    """Counts of RDKit's own fingerprints."""
    found: Mapping[int, int] = _generator(block).GetSparseCountFingerprint(molecule).GetNonzeroElements()
    return found


def _composition(molecule: Any) -> Mapping[int, int]:
    """Counts of elements, elements by hybridisation, hydrogens, ring atoms, and bonds by type and conjugation."""
    # By index: RDKit's own iteration over atoms costs several times as much.
    atoms = [molecule.GetAtomWithIdx(i) for i in range(molecule.GetNumAtoms())]
    bonds = [molecule.GetBondWithIdx(i) for i in range(molecule.GetNumBonds())]
    counts: Counter[tuple[int, ...]] = Counter()
    for (number, hybridization), count in Counter((a.GetAtomicNum(), a.GetHybridization()) for a in atoms).items():
        counts[0, number] += count
        counts[1, number, int(hybridization)] += count
    for (order, conjugated), count in Counter((b.GetBondType(), b.GetIsConjugated()) for b in bonds).items():
        counts[4, int(order), int(conjugated)] += count
    counts[(2,)] = sum(atom.GetTotalNumHs() for atom in atoms)
    counts[(3,)] = sum(atom.IsInRing() for atom in atoms)
    return {_key(key): count for key, count in counts.items()}


def _levels(molecule: Any, levels: int) -> NDArray[Any]:
    """The levels that each descriptor reaches, from the lowest, and those that it does not reach."""
    low, high = np.array(list(RANGES.values())).T
    reached = np.rint(levels * np.clip((np.array(descriptors(molecule)) - low) / (high - low), 0.0, 1.0))
    step, first = np.arange(levels), 2 * levels * np.arange(len(reached))
    return (first[:, None] + np.where(step < reached[:, None], step, levels + step)).ravel()


@lru_cache(maxsize=4_096)
def _key(parts: tuple[int, ...]) -> int:
    return mix_all(parts)


@lru_cache(maxsize=64)
def parsed(smiles: str) -> Any:
    """RDKit's molecule; raises InvalidCandidate for text that is none."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
    return molecule


@lru_cache(maxsize=16)
def _generator(block: str) -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    if block == "pairs":
        return rdFingerprintGenerator.GetAtomPairGenerator()
    return rdFingerprintGenerator.GetMorganGenerator(radius=int(block.removeprefix("morgan")))


#: Blocks that are counted here; RDKit counts the others.
COUNTED: Mapping[str, Callable[[Any], Mapping[int, int]]] = {
    "composition": _composition,
    "subtrees": subtrees,
    "words": words,
}
