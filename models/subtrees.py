"""What a Weisfeiler-Lehman kernel counts in a molecule: the neighbourhoods of its atoms, drawn ever wider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from theoros.models.mixing import mix_all
from theoros.models.molecule_graphs import graph_of

#: How often labels are refined; after four rounds few molecules of a campaign's size still share any.
ROUNDS = 4


def subtrees(molecule: Any) -> Mapping[int, int]:
    """How often each label occurs in an RDKit molecule, over all rounds of refinement from 0 to `ROUNDS`.

    An atom's first label is its categories (`theoros.models.molecule_graphs`); in every round it becomes its label of
    the round before with the sorted labels of its neighbours and of the bonds to them (Shervashidze et al., J. Mach.
    Learn. Res. 12, 2539 (2011)). The overlap of two such histograms is the optimal assignment of the atoms of one
    molecule to those of the other (Kriege et al., NeurIPS 2016, arXiv:1606.01141), and a positive-definite kernel.
    Unlike Morgan's fingerprint it counts a neighbourhood at every atom and in every round, however large it has become.
    """
    graph = graph_of(molecule)
    labels = [mix_all(row) for row in graph.atoms.tolist()]
    bonds = [mix_all(row) for row in graph.bonds.tolist()]
    around: list[list[tuple[int, int]]] = [[] for _ in labels]
    for (begin, end), bond in zip(graph.ends.tolist(), bonds, strict=True):
        around[begin].append((bond, end))
        around[end].append((bond, begin))
    counts = Counter(mix_all((0, label)) for label in labels)
    for index in range(1, ROUNDS + 1):
        seen = [sorted(mix_all((bond, labels[other])) for bond, other in near) for near in around]
        labels = [mix_all((label, *near)) for label, near in zip(labels, seen, strict=True)]
        counts.update(mix_all((index, label)) for label in labels)
    return counts
