"""Molecules grown fragment by fragment: the states, the actions, and in how many ways each molecule comes about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theoros.models.generators.fragments import Assembly, Bond, Vocabulary, put_together, symmetry_order

#: The action that leaves the atom at hand with the hydrogens that it has.
LEAVE = 0


@dataclass
class Growth:
    """A molecule in the making, which becomes a valid one with hydrogens wherever it is still open.

    `actions` led to it. `fragments` numbers the fragment of each piece; `open` is the stack of atoms that may get
    another bond, each with its piece and the hydrogens that it has left: the last is the atom at hand.
    """

    actions: list[int] = field(default_factory=list)
    fragments: list[int] = field(default_factory=list)
    bonds: list[Bond] = field(default_factory=list)
    open: list[tuple[int, int, int]] = field(default_factory=list)
    size: int = 0

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to decide."""
        return bool(self.actions) and not self.open


@dataclass(frozen=True)
class Environment:
    """Builds molecules of up to `most` heavy atoms from a vocabulary, depth first.

    The first action chooses a fragment. Then the atom at hand either gets a bond to a site of another fragment, whose
    atoms come next, or is left alone (`LEAVE`). An atom to which nothing may be bonded any more is passed over. So
    every state has one parent, the flow network is a tree, and its backward policy is 1. A molecule, though, is the
    end of several branches: it may be begun at any of its pieces, and a fragment with symmetries can be laid down in
    several ways. `log_ways` counts them, and a sampler for molecules divides the reward among them (Bengio et al.,
    NeurIPS 2021, arXiv:2106.04399, on trees; Kim et al., arXiv:2506.02685, on symmetries).
    """

    vocabulary: Vocabulary
    most: int

    @cached_property
    def attachments(self) -> tuple[tuple[int, int], ...]:
        """Fragment and site of each action that attaches; the first of them is action 1 + number of fragments."""
        fragments = self.vocabulary.fragments
        return tuple((number, site) for number, each in enumerate(fragments) for site in each.sites)

    @property
    def n_actions(self) -> int:
        """Leave, begin with a fragment, attach a fragment by a site."""
        return 1 + len(self.vocabulary.fragments) + len(self.attachments)

    @property
    def n_places(self) -> int:
        """Atoms of fragments at which growth can be, after the place before the first fragment."""
        return 1 + sum(each.size for each in self.vocabulary.fragments)

    def place(self, growth: Growth) -> int:
        """The number of the fragment's atom at hand; 0 before the first fragment and at the end."""
        if not growth.open:
            return 0
        piece, atom, _ = growth.open[-1]
        return 1 + self._first_place[growth.fragments[piece]] + atom

    def masks(self, growths: Sequence[Growth]) -> NDArray[np.bool_]:
        """Which actions are permitted: ``n x n_actions``; only to leave where growth is complete."""
        rows = [self._row(growth) for growth in growths]
        return self._table[[row for row, _ in rows], [left for _, left in rows]]

    def extend(self, growth: Growth, action: int) -> None:
        """Carry out a permitted action."""
        growth.actions.append(action)
        n = len(self.vocabulary.fragments)
        if action == LEAVE:
            growth.open.pop()
        elif action <= n:
            self._add(growth, action - 1, entry=None)
        else:
            number, site = self.attachments[action - 1 - n]
            piece, atom, hydrogens = growth.open.pop()
            growth.bonds.append(Bond(piece, atom, len(growth.fragments), site))
            growth.open.append((piece, atom, hydrogens - 1))
            self._add(growth, number, entry=site)
        while growth.open and (growth.open[-1][2] == 0 or not self._table[self._row(growth)][1:].any()):
            growth.open.pop()

    def grown(self, actions: Sequence[int]) -> Growth:
        """What a sequence of permitted actions leads to."""
        growth = Growth()
        for action in actions:
            self.extend(growth, action)
        return growth

    def assembly(self, growth: Growth) -> Assembly:
        """The pieces of a molecule in the making."""
        names = tuple(self.vocabulary.fragments[number].smiles for number in growth.fragments)
        return Assembly(names, tuple(growth.bonds))

    def smiles(self, growth: Growth) -> str:
        """The molecule, with hydrogens wherever it is still open; raises ValueError before the first fragment."""
        if not growth.fragments:
            raise ValueError("Nothing has been built yet.")
        return put_together(self.assembly(growth))

    def actions(self, assembly: Assembly, rng: np.random.Generator) -> list[int] | None:
        """A way to build a molecule, at random; None when it is too large or needs what the vocabulary lacks."""
        numbers = [self._numbers.get(name) for name in assembly.fragments]
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers) or sum(self._sizes[number] for number in known) > self.most:
            return None
        around: list[list[Bond]] = [[] for _ in known]
        for bond in assembly.bonds:
            around[bond.piece].append(bond)
            around[bond.other].append(Bond(bond.other, bond.other_atom, bond.piece, bond.atom))
        growth, waiting = Growth(), {}
        root = int(rng.integers(len(known)))
        self.extend(growth, 1 + known[root])
        waiting[0] = self._laid(known[root], around[root], None, rng)
        while growth.open:
            piece, atom, _ = growth.open[-1]
            if not waiting[piece][atom]:
                self.extend(growth, LEAVE)
                continue
            bond = waiting[piece][atom].pop()
            number = known[bond.other]
            site = min(self.vocabulary.fragments[number].orbits[bond.other_atom])
            action = self._attaching[number, site]
            if not self._table[self._row(growth)][action]:
                return None
            back = Bond(bond.other, bond.other_atom, bond.piece, bond.atom)
            self.extend(growth, action)
            waiting[len(growth.fragments) - 1] = self._laid(number, around[bond.other], back, rng)
        return growth.actions

    def log_ways(self, growth: Growth) -> float:
        r"""The logarithm of how many complete sequences of actions lead to the same molecule.

        Of the ways to number a molecule's atoms by those of its fragments, a sequence fixes one, and automorphisms of
        the molecule carry those of the same sequence into each other. So there are

            :math:`|{\rm Aut}(x)|^{-1} \sum_r \prod_i |{\rm Aut}(f_i)| / |{\rm orbit}(a_i)| \prod_j k_j!`

        with r over the pieces to begin with, :math:`a_i` the atom by which piece i is entered (none for r), and
        :math:`k_j` the bonds from atom j to pieces that come later.
        """
        fragments = [self.vocabulary.fragments[number] for number in growth.fragments]
        bonded = Counter(
            end for bond in growth.bonds for end in ((bond.piece, bond.atom), (bond.other, bond.other_atom))
        )
        log_all = sum(math.log(len(each.symmetries)) for each in fragments)
        log_all += sum(math.lgamma(k + 1) for k in bonded.values())

        def entered(piece: int, atom: int) -> float:
            return -math.log(len(fragments[piece].orbits[atom]) * bonded[piece, atom])

        # From the root that was taken to every other: only the bonds in between are passed the other way.
        log_roots = [sum(entered(bond.other, bond.other_atom) for bond in growth.bonds)]
        for bond in growth.bonds:
            turned = entered(bond.piece, bond.atom) - entered(bond.other, bond.other_atom)
            log_roots.append(log_roots[bond.piece] + turned)
        order = symmetry_order(put_together(self.assembly(growth)))
        return log_all + float(np.logaddexp.reduce(log_roots)) - math.log(order)

    def _add(self, growth: Growth, number: int, entry: int | None) -> None:
        each, piece = self.vocabulary.fragments[number], len(growth.fragments)
        growth.fragments.append(number)
        growth.size += each.size
        order = [atom for atom in range(each.size) if atom != entry] if entry is not None else list(range(each.size))
        left = [(piece, atom, each.hydrogens[atom]) for atom in order]
        first = [] if entry is None else [(piece, entry, each.hydrogens[entry] - 1)]
        growth.open.extend(reversed([*first, *left]))

    def _laid(
        self, number: int, around: Sequence[Bond], back: Bond | None, rng: np.random.Generator
    ) -> list[list[Bond]]:
        """For each atom of a fragment, the bonds to build there, last first, under one of the symmetries at random.

        `back` is the bond through which the piece was entered, which has to be at the first atom of its orbit.
        """
        each = self.vocabulary.fragments[number]
        fitting = [s for s in each.symmetries if back is None or s[back.atom] == min(each.orbits[back.atom])]
        images = fitting[int(rng.integers(len(fitting)))]
        laid: list[list[Bond]] = [[] for _ in range(each.size)]
        for index in rng.permutation(len(around)):
            if around[index] != back:
                laid[images[around[index].atom]].append(around[index])
        return laid

    def _row(self, growth: Growth) -> tuple[int, int]:
        """Where in the table of masks a state's is: what the atom at hand is, and the heavy atoms left."""
        left = self.most - growth.size
        if not growth.open:
            return (len(self._kinds) + 1 if growth.actions else len(self._kinds)), left
        piece, atom, _ = growth.open[-1]
        return self._kind_of[growth.fragments[piece]][atom], left

    @cached_property
    def _kinds(self) -> list[tuple[str, bool, bool, int, int]]:
        return sorted({kind for each in self.vocabulary.fragments for kind in each.kinds})

    @cached_property
    def _kind_of(self) -> list[list[int]]:
        number = {kind: index for index, kind in enumerate(self._kinds)}
        return [[number[kind] for kind in each.kinds] for each in self.vocabulary.fragments]

    @cached_property
    def _table(self) -> NDArray[np.bool_]:
        """Masks by kind of atom (then the beginning, then the end) and heavy atoms left."""
        fragments, n = self.vocabulary.fragments, len(self.vocabulary.fragments)
        table = np.zeros((len(self._kinds) + 2, self.most + 1, self.n_actions), dtype=bool)
        fits = np.array(self._sizes)[None, :] <= np.arange(self.most + 1)[:, None]
        table[len(self._kinds), :, 1 : 1 + n] = fits
        sites = [fragments[number].kinds[site] for number, site in self.attachments]
        bonds = self.vocabulary.may_bond(self._kinds, sites)
        taken = [number for number, _ in self.attachments]
        table[: len(self._kinds), :, 1 + n :] = bonds[:, None, :] & fits[None][:, :, taken]
        table[: len(self._kinds), :, LEAVE] = True
        table[len(self._kinds) + 1, :, LEAVE] = True
        return table

    @cached_property
    def _sizes(self) -> list[int]:
        return [each.size for each in self.vocabulary.fragments]

    @cached_property
    def _first_place(self) -> list[int]:
        return [0, *np.cumsum(self._sizes).tolist()]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {each.smiles: number for number, each in enumerate(self.vocabulary.fragments)}

    @cached_property
    def _attaching(self) -> dict[tuple[int, int], int]:
        first = 1 + len(self.vocabulary.fragments)
        return {pair: first + index for index, pair in enumerate(self.attachments)}
