"""Makes `oracles/data/small_molecules.smi`: all molecules up to five heavy atoms, and a uniform sample up to nine.

    python -m theoros.oracles.spaces.enumerate_molecules

Molecules are connected graphs of C, N, O, F and S with ordinary valences (nitrogen five in nitro groups, sulfur four
and six with doubly bonded oxygens), that keep the rules of `theoros.oracles.spaces.stability` and, from four
heavy atoms on (below, the score means nothing), have a synthetic accessibility score of at most 5.

Up to five heavy atoms they are enumerated: atoms are added one by one and bonds raised one by one, through all
valence-correct graphs. From six to nine they are too many, and a Markov chain samples them. Its state is a matrix B of
bond orders between labelled atoms with their elements; its moves are symmetric: change one bond order by one, change
two of one atom's by one each, exchange two bond orders of one atom, change one element. A molecule M has
``n! K(M) / |Aut(M)|`` such matrices (K: Kekulé structures; Aut: automorphisms), so Metropolis acceptance of the weight
``|Aut| / K`` makes every molecule equally likely. Graphs that break a rule are passed through at a reduced weight, for
the sake of mixing, and never recorded.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecule_properties import evaluate
from theoros.oracles.spaces.stability import broken_rule

ELEMENTS = ("C", "N", "O", "F", "S")
VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1, "S": 2}
MAX_SA_SCORE = 5.0
SCORED_FROM = 4
ENUMERATED_UP_TO = 5
#: Molecules sampled of each larger size.
SAMPLED = {6: 800, 7: 900, 8: 1_000, 9: 1_200}
#: Weight of a graph that breaks a rule, relative to one that keeps them all.
DETOUR = 0.03
#: Moves between two recorded states of the chain, and before the first.
THINNING, BURN_IN = 300, 10_000

#: Bond orders of a labelled molecule as rows of a symmetric matrix.
Bonds = tuple[tuple[int, ...], ...]


class Graph(NamedTuple):
    """A molecule with labelled atoms: elements (n,) and bond orders (n x n)."""

    elements: tuple[str, ...]
    bonds: Bonds


class Known(NamedTuple):
    """What RDKit says of a graph: its canonical SMILES, its weight |Aut| / K, and whether it keeps all rules."""

    smiles: str
    weight: float
    accepted: bool


def valences_fit(graph: Graph) -> bool:
    """Ordinary valences, N(=O)=O, and S(=O) and S(=O)=O."""
    for element, row in zip(graph.elements, graph.bonds, strict=True):
        excess = sum(row) - VALENCE[element]
        if excess <= 0:
            continue
        oxides = sum(
            order == 2 and graph.elements[j] == "O" and sum(graph.bonds[j]) == 2 for j, order in enumerate(row)
        )
        if element == "N" and not (excess == 2 and oxides == 2):
            return False
        # Each doubly bonded oxygen lifts sulfur by two.
        if element == "S" and not (excess in (2, 4) and oxides == excess // 2):
            return False
        if element not in "NS":
            return False
    return True


def connected(graph: Graph) -> bool:
    """Whether all atoms hang together."""
    reached, edge = {0}, [0]
    while edge:
        row = graph.bonds[edge.pop()]
        new = [j for j, order in enumerate(row) if order and j not in reached]
        reached.update(new)
        edge.extend(new)
    return len(reached) == len(graph.elements)


def changed(bonds: Bonds, *edits: tuple[int, int, int]) -> Bonds:
    """`bonds` with the order of each pair (i, j) set."""
    rows = [list(row) for row in bonds]
    for i, j, order in edits:
        rows[i][j] = rows[j][i] = order
    return tuple(map(tuple, rows))


def known(graph: Graph) -> Known | None:
    """Ask RDKit; None when it finds no sense in the graph."""
    from rdkit import Chem, rdBase

    molecule = Chem.RWMol()
    for element in graph.elements:
        molecule.AddAtom(Chem.Atom(element))
    kinds = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    for i, row in enumerate(graph.bonds):
        for j in range(i):
            if row[j]:
                molecule.AddBond(i, j, kinds[row[j]])
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(molecule)
        except (Chem.MolSanitizeException, ValueError):
            return None
    smiles = str(Chem.MolToSmiles(molecule))
    if "." in smiles:
        return None
    return _judged(smiles, _kekule_structures(molecule, graph))


@lru_cache(maxsize=500_000)
def _judged(smiles: str, kekule: int) -> Known | None:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or Chem.MolToSmiles(molecule) != smiles:
        return None
    matches = molecule.GetSubstructMatches(molecule, uniquify=False, maxMatches=1_000_000)
    # RDKit tells the two oxygens of a nitro group apart, which the matrix of bond orders does not.
    nitro = sum(atom.GetFormalCharge() > 0 for atom in molecule.GetAtoms())
    candidate = Candidate("molecule", {"smiles": smiles})
    accepted = broken_rule(molecule) is None and (
        molecule.GetNumHeavyAtoms() < SCORED_FROM or evaluate("sa_score", candidate) <= MAX_SA_SCORE
    )
    return Known(smiles, len(matches) * 2**nitro / kekule, accepted)


def _kekule_structures(molecule: Any, graph: Graph) -> int:
    """In how many ways the double bonds can lie in the aromatic part: its perfect matchings."""
    pairs = []
    for bond in molecule.GetBonds():
        if bond.GetIsAromatic():
            pairs.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    matched = {atom for i, j in pairs if graph.bonds[i][j] == 2 for atom in (i, j)}
    edges = [pair for pair in pairs if matched.issuperset(pair)]

    def matchings(left: frozenset[int]) -> int:
        if not left:
            return 1
        first = min(left)
        partners = {j if i == first else i for i, j in edges if first in (i, j)} & left
        return sum(matchings(left - {first, partner}) for partner in partners)

    return matchings(frozenset(matched))


def enumerated(largest: int) -> dict[int, dict[str, Graph]]:
    """All molecules by number of heavy atoms, rules of stability not yet applied: SMILES -> one graph."""
    levels: dict[int, dict[str, Graph]] = {size: {} for size in range(1, largest + 1)}
    fresh = [Graph((element,), ((0,),)) for element in ELEMENTS]
    for size in range(1, largest + 1):
        level = levels[size]
        queue = fresh + (list(_nitrated(levels[size - 2])) if size > 2 else [])
        while queue:
            graph = queue.pop()
            found = known(graph)
            if found is None or found.smiles in level:
                continue
            level[found.smiles] = graph
            queue.extend(_raised(graph))
        fresh = [larger for graph in level.values() for larger in _grown(graph)]
    return levels


def _grown(graph: Graph) -> Iterator[Graph]:
    """`graph` with one atom more, bonded singly, or doubly where only that has a meaning (sulfur's oxygens)."""
    n = len(graph.elements)
    wider = (*((*row, 0) for row in graph.bonds), (0,) * (n + 1))
    for i in range(n):
        for element in ELEMENTS:
            for order in (1, 2):
                larger = Graph((*graph.elements, element), changed(wider, (i, n, order)))
                if valences_fit(larger):
                    yield larger


def _raised(graph: Graph) -> Iterator[Graph]:
    """`graph` with one bond order more."""
    n = len(graph.elements)
    for i in range(n):
        for j in range(i):
            if graph.bonds[i][j] < 3:
                raised = Graph(graph.elements, changed(graph.bonds, (i, j, graph.bonds[i][j] + 1)))
                if valences_fit(raised):
                    yield raised


def _nitrated(level: dict[str, Graph]) -> Iterator[Graph]:
    """Graphs of `level` with two oxygens more on a nitrogen: the only valence beyond the reach of single steps."""
    for graph in level.values():
        n = len(graph.elements)
        wider = (*((*row, 0, 0) for row in graph.bonds), *((0,) * (n + 2),) * 2)
        for i, element in enumerate(graph.elements):
            larger = Graph((*graph.elements, "O", "O"), changed(wider, (i, n, 2), (i, n + 1, 2)))
            if element == "N" and valences_fit(larger):
                yield larger


class Chain:
    """The Markov chain over molecules of `size` heavy atoms that the module describes."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        bonds: Bonds = ((0,) * size,) * size
        self.size = size
        self.rng = rng
        self.graph = Graph(("C",) * size, changed(bonds, *((i, i + 1, 1) for i in range(size - 1))))
        start = known(self.graph)
        if start is None:
            raise RuntimeError("an unbranched alkane has no meaning to RDKit")
        self.state = start

    def step(self) -> None:
        """Propose one symmetric move, and accept it by its weight."""
        proposal = self._proposal()
        if proposal is None or not valences_fit(proposal) or not connected(proposal):
            return
        found = known(proposal)
        if found is not None and self.rng.random() * _mass(self.state) < _mass(found):
            self.graph, self.state = proposal, found

    def _proposal(self) -> Graph | None:
        elements, bonds = self.graph
        move = self.rng.integers(0, 4)
        if move == 0:
            i, element = int(self.rng.integers(0, self.size)), ELEMENTS[self.rng.integers(0, len(ELEMENTS))]
            return Graph((*elements[:i], element, *elements[i + 1 :]), bonds)
        i, j, *rest = (int(index) for index in self.rng.choice(self.size, min(3, self.size), replace=False))
        sign = 1 if self.rng.random() < 0.5 else -1
        edits = [(i, j, bonds[i][j] + sign)]
        if move > 1:
            if not rest:
                return None
            k = rest[0]
            edits = [(i, j, bonds[i][k]), (i, k, bonds[i][j])] if move == 2 else [*edits, (i, k, bonds[i][k] + sign)]
        if any(not 0 <= order <= 3 for _, _, order in edits):
            return None
        return Graph(elements, changed(bonds, *edits))


def _mass(state: Known) -> float:
    return state.weight if state.accepted else state.weight * DETOUR


def sampled(size: int, count: int, rng: np.random.Generator) -> list[str]:
    """`count` distinct molecules of `size` heavy atoms, each equally likely, in canonical SMILES."""
    chain = Chain(size, rng)
    for _ in range(BURN_IN):
        chain.step()
    found: dict[str, None] = {}
    while len(found) < count:
        for _ in range(THINNING):
            chain.step()
        if chain.state.accepted:
            found[chain.state.smiles] = None
    return list(found)


def molecules(seed: int = 0) -> list[str]:
    """The shipped set, sorted by size and then by SMILES."""
    rng = np.random.default_rng(seed)
    found = []
    for level in enumerated(ENUMERATED_UP_TO).values():
        judged = [known(graph) for graph in level.values()]
        found.append(sorted(item.smiles for item in judged if item is not None and item.accepted))
    found += [sorted(sampled(size, count, rng)) for size, count in SAMPLED.items()]
    return [smiles for level in found for smiles in level]


def main() -> None:
    """Write the set to a file."""
    parser = argparse.ArgumentParser(description="Write the shipped set of small molecules.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "data" / "small_molecules.smi")
    arguments = parser.parse_args()
    arguments.output.write_text("\n".join(molecules(arguments.seed)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
