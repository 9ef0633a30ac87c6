"""A generative model of molecules in space, by equivariant flow matching: new molecules, variations and conformers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from theoros.models.data import Array
from theoros.models.generators.flow3d_bonds import BondLengths, bond_orders, smiles_of
from theoros.models.generators.flow3d_matching import aligned, between, followed, noise
from theoros.models.generators.flow3d_molecules import (
    Structure,
    UnitedAtom,
    graph_of,
    structures,
    types_of,
    vocabulary,
    with_hydrogens,
)
from theoros.models.generators.flow3d_network import EndpointNetwork, NetworkSettings, State
from theoros.models.generators.flow3d_training import TrainingSettings, stacked, train
from theoros.models.generators.weights import trained
from theoros.models.sampling import derived_seed

#: Raised whenever weights of an earlier version would mean something else.
VERSION = 1


@dataclass(frozen=True)
class Flow3DSettings:
    """How a model is made and used: `seed` of its training, Euler `steps` from noise to a molecule.

    The defaults are a tiny configuration for one CPU core.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    steps: int = 20


@dataclass(frozen=True, eq=False)
class Flow3D:
    """A trained model: the `atoms` that it knows, how many of them molecules have (`sizes`, with their shares), the
    `scale` of its coordinates in angstrom and the `lengths` of bonds in what it learned from.
    """

    network: EndpointNetwork
    atoms: tuple[UnitedAtom, ...]
    sizes: Mapping[int, float]
    scale: float
    lengths: BondLengths
    steps: int

    def sample(self, n: int, *, seed: int) -> list[Structure]:
        """`n` structures from noise, with as many heavy atoms as the molecules that were learned; smallest first."""
        counts = np.random.default_rng(derived_seed(seed, "sizes")).multinomial(n, list(self.sizes.values()))
        generator = self.generator(seed)
        found: list[Structure] = []
        for size, count in zip(self.sizes, counts.tolist(), strict=True):
            if count:
                start = noise(count, size, len(self.atoms), generator)
                nowhere = torch.zeros(count, device=generator.device)
                hidden = torch.zeros(count, size, size, dtype=torch.long, device=generator.device)
                found += self._arrived(State(*start, hidden, nowhere, nowhere))
        return found

    def variations(self, molecules: Sequence[Structure], times: Sequence[float], *, seed: int) -> list[Structure]:
        """One relative of each molecule, smallest first: noise is mixed in as at a time in [0, 1), and flows out again.

        At time 0 nothing is left of the molecule, and near 1 nothing changes (partial diffusion; SDEdit, Meng et al.,
        arXiv:2108.01073).
        """
        generator = self.generator(seed)
        found: list[Structure] = []
        for size in sorted({len(molecule.types) for molecule in molecules}):
            chosen = [i for i, molecule in enumerate(molecules) if len(molecule.types) == size]
            end = stacked([molecules[i] for i in chosen], len(self.atoms), self.scale, generator.device)
            end = end._replace(bonds=torch.zeros_like(end.bonds))
            positions, types = noise(len(chosen), size, len(self.atoms), generator)
            every = torch.ones(len(chosen), dtype=torch.bool, device=generator.device)
            time = torch.tensor([times[i] for i in chosen], device=generator.device, dtype=torch.float32)
            start = aligned(positions, end.positions, every), types
            found += self._arrived(between(start, end, time, time))
        return found

    def smiles(self, molecule: Structure) -> str | None:
        """The SMILES of the largest connected part, None where RDKit finds it impossible."""
        return smiles_of([self.atoms[i] for i in molecule.types], molecule.orders)

    def _arrived(self, state: State) -> list[Structure]:
        end = followed(self.network, state, self.steps)
        every = (end.positions.double() * self.scale).cpu().numpy()
        kinds = end.types.argmax(-1).cpu().numpy()
        return [
            Structure(types, positions, bond_orders([self.atoms[i] for i in types], positions, self.lengths))
            for types, positions in zip(kinds, every, strict=True)
        ]

    def generator(self, seed: int) -> torch.Generator:
        """Noise on the device of the network."""
        device = next(self.network.parameters()).device
        return torch.Generator(device=device).manual_seed(derived_seed(seed, "flow3d"))


def conformers(model: Flow3D, smiles: str, n: int, *, seed: int) -> Array:
    """`n` conformers ``n x atoms x 3`` in angstrom: heavy atoms in the order of the SMILES, then hydrogens.

    Types and bonds are given and coordinates alone flow; RDKit adds hydrogens. A model that was trained with a share
    of `known` molecules is needed. Raises InvalidCandidate for atoms that the model does not know.
    """
    types = types_of(smiles, model.atoms)
    flat = Structure(types, np.zeros((len(types), 3)), graph_of(smiles).orders)
    generator = model.generator(seed)
    end = stacked([flat] * n, len(model.atoms), model.scale, generator.device)
    start, _ = noise(n, len(types), len(model.atoms), generator)
    state = end._replace(positions=start, time=torch.zeros_like(end.time))
    heavy = followed(model.network, state, model.steps).positions.double() * model.scale
    return np.stack([with_hydrogens(smiles, positions) for positions in heavy.cpu().numpy()])


@lru_cache(maxsize=4)
def flow3d(corpus: tuple[str, ...], settings: Flow3DSettings, device: str | None = None) -> Flow3D:
    """The model of a `corpus` of SMILES, trained now unless its weights are kept (`theoros.models.generators.weights`).

    `device` is torch's name for where it lives, by default a GPU when one is granted. Raises ValueError where e3nn is
    missing, or where no molecule of the corpus has a three-dimensional structure.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    atoms = vocabulary(corpus)
    made = {name: value for name, value in asdict(settings).items() if name != "steps"}  # weights serve any steps
    key = {"model": "flow3d", "version": VERSION, "corpus": list(corpus), "settings": made}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "network"))
        network = EndpointNetwork(settings.network, len(atoms)).to(place)
    weights = trained(key, lambda: _train(network, corpus, atoms, settings))
    lengths = BondLengths(tuple(sorted({atom.symbol for atom in atoms})), weights.pop("bond_lengths").numpy())
    scale = float(weights.pop("scale"))
    network.load_state_dict(weights)
    sizes = Counter(len(graph_of(smiles).atoms) for smiles in corpus)
    shares = {size: sizes[size] / len(corpus) for size in sorted(sizes)}
    return Flow3D(network.eval(), atoms, shares, scale, lengths, settings.steps)


def _train(
    network: EndpointNetwork, corpus: Sequence[str], atoms: Sequence[UnitedAtom], settings: Flow3DSettings
) -> dict[str, Tensor]:
    molecules = structures(corpus, atoms, settings.seed)
    if not molecules:
        raise ValueError("Flow matching learns from structures of molecules, and no molecule of the corpus has one.")
    lengths = BondLengths.of(molecules, atoms)
    positions = np.concatenate([molecule.positions for molecule in molecules])
    scale = float(np.sqrt(np.mean(positions**2))) or 1.0  # molecules of one atom have no extent
    train(network, molecules, len(atoms), scale, settings.training, settings.seed)
    extra = {"bond_lengths": torch.from_numpy(lengths.mean), "scale": torch.tensor(scale, dtype=torch.float64)}
    return {**network.state_dict(), **extra}
