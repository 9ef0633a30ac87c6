"""Edits of SELFIES strings: maximise an acquisition value over molecules with no rule of chemistry written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from rdkit import Chem

from theoros.models.generators.selfies_strings import smiles_of, tokens_of
from theoros.models.proposers.evolution import Breed, Evolution, parent
from theoros.models.proposers.genetic.editing import VALENCES, finished
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import state_of
from theoros.oracles.spaces.table import FileState

#: Tokens that open a branch or close a ring; the one after them says how long the branch or how wide the ring is.
STRUCTURE = ("[Branch1]", "[=Branch1]", "[#Branch1]", "[Branch2]", "[=Branch2]", "[Ring1]", "[=Ring1]", "[Ring2]")
#: Elements that SELFIES writes without their hydrogens, which follow from the bonds.
_ORGANIC = frozenset({"B", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"})
#: Starting molecules whose tokens are added to those of the elements.
_LOOKED_AT = 1_000

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class SelfiesEdits(Evolution):
    """Evolution of SELFIES strings inside the maximisation of an acquisition function: it never asks the oracle.

    Every string of SELFIES tokens is a molecule (Krenn et al. 2020, doi:10.1088/2632-2153/aba947), so tokens are
    inserted, replaced and deleted at random as in STONED (Nigam et al., Chem. Sci. 12, 7079 (2021),
    doi:10.1039/D1SC00231G), and two molecules are crossed by joining the beginning of one string to the end of the
    other. A parent is written anew from a random atom each time, so that an edit may fall anywhere. What leaves the
    space (a charge, too many atoms, a rule of stability) is dropped.
    """

    name: ClassVar[str] = "selfies"

    def breeder(self, space: Molecules) -> Breed:
        """See `Evolution.breeder`."""
        return breeder(space, self.mutation_rate)


def breeder(space: Molecules, mutation_rate: float) -> Breed:
    """What makes children of molecules of `space`: edits at `mutation_rate`, else crossover."""
    known = alphabet(space)

    def breed(parents: Sequence[Candidate], rng: np.random.Generator) -> tuple[str | None, tuple[str, ...]]:
        first = parent(parents, rng)
        tokens = reordered(first, rng)
        if len(parents) == 1 or rng.random() < mutation_rate:
            return _sound(edited(tokens, known, rng)), (first,)
        second = parent(parents, rng)
        return _sound(crossed(tokens, reordered(second, rng), rng)), (first, second)

    return breed


def alphabet(space: Molecules) -> Tokens:
    """The tokens that edits may write, each once.

    They are neutral atoms of the space's elements with every bond that their valence allows, rings and branches, and
    whatever else some of the starting molecules are written with (``[N+1]`` of a nitro group).
    """
    return _alphabet(space, state_of(space))


@lru_cache(maxsize=16)
def _alphabet(space: Molecules, state: FileState | None) -> Tokens:
    own = [element for element in space.elements if element in _ORGANIC]
    atoms = [
        f"[{bond}{element}]" for element in own for order, bond in enumerate(("", "=", "#"), 1) if _can(element, order)
    ]
    starting = [tokens_of(str(c.data["smiles"])) or () for c in space.sample(_LOOKED_AT, np.random.default_rng(0))]
    return tuple(dict.fromkeys([*atoms, *STRUCTURE, *sorted({token for row in starting for token in row})]))


def reordered(smiles: str, rng: np.random.Generator) -> Tokens:
    """The tokens of a molecule written from a random atom and along random branches; none where SELFIES has none."""
    molecule = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    (text,) = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=int(rng.integers(2**31 - 1)), kekuleSmiles=True)
    return tokens_of(text) or ()


def edited(tokens: Tokens, known: Sequence[str], rng: np.random.Generator) -> Tokens:
    """`tokens` after one edit, or after k of them with probability 2⁻ᵏ: an insertion, a replacement or a deletion."""
    copy = list(tokens)
    for _ in range(int(rng.geometric(0.5))):
        edit = int(rng.integers(3)) if copy else 0
        place = int(rng.integers(len(copy) + (edit == 0)))
        token = known[int(rng.integers(len(known)))]
        copy[place : place + (edit > 0)] = [] if edit == 2 else [token]
    return tuple(copy)


def crossed(first: Tokens, second: Tokens, rng: np.random.Generator) -> Tokens:
    """The beginning of `first` up to a random cut, and the end of `second` from another."""
    return first[: int(rng.integers(len(first) + 1))] + second[int(rng.integers(len(second) + 1)) :]


def _sound(tokens: Tokens) -> str | None:
    """The SMILES of tokens whose valences are those of stable chemistry: SELFIES allows hydrogen on sulfur(VI)."""
    smiles = smiles_of(tokens)
    molecule = None if smiles is None else Chem.MolFromSmiles(smiles, sanitize=False)
    return None if molecule is None else finished(Chem.RWMol(molecule))


def _can(element: str, order: int) -> bool:
    return VALENCES[element] >= order
