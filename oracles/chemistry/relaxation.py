"""Relaxed geometries, kept on disk: another property of a known molecule doesn't relax it again.

A geometry is filed under what made it: the structure that it began from (elements, positions, charge, spin), the
theory, and `VERSION`. So it serves any oracle, campaign and process that would get the same. Those used longest ago are
removed where all together would take more than `LIMIT` of the disk.
"""

from __future__ import annotations

import json
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.cache_folder import cache_folder, trim, used
from theoros.oracles.candidate import content_hash
from theoros.oracles.chemistry.bonds import Rearranged
from theoros.oracles.chemistry.geometry import EnergyAndForces, System, relaxed
from theoros.oracles.failures import NotConverged

#: Raised when the same start and theory would relax to something else: another optimiser, another tolerance.
VERSION = 2
#: Angstrom by which `shaken` moves atoms along each axis (standard deviation).
SHAKE = 0.05
#: Angstrom by which a plane or like surroundings may be missed and still count as symmetry.
SYMMETRY = 0.05
#: Bytes on disk: some 250,000 geometries.
LIMIT = 2**30
#: A process looks at the size of the folder with its first new geometry, and again after so many.
_LOOKED_AT = 500
#: Geometries that a process remembers without the disk.
_REMEMBERED = 256


@dataclass(frozen=True)
class Minimum:
    """A relaxed system, and its energy (eV) at the level that relaxed it."""

    system: System
    energy: float


class Relaxer:
    """Relaxes systems, or finds what it relaxed before: in memory, then on disk."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[str, Minimum] = OrderedDict()
        self._written = 0

    def __call__(self, start: System, theory: Mapping[str, Any], surface: EnergyAndForces) -> Minimum:
        """The minimum that `start` relaxes into on `surface` (eV, eV/angstrom), which `theory` names; NotConverged."""
        key = content_hash(["relaxed geometry", VERSION, asdict(start), dict(theory)])
        if key not in self._remembered:
            path = cache_folder() / "geometries" / f"{key}.json"
            found = _read(path, start)
            if found is None:
                found = minimum(start, surface)
                _write(path, found)
                if self._written % _LOOKED_AT == 0:
                    trim(path.parent, LIMIT)
                self._written += 1
            self._remembered[key] = found
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return self._remembered[key]


def minimum(start: System, surface: EnergyAndForces) -> Minimum:
    """Relax `start`; the energy is the surface's at the end. Raises NotConverged."""
    energies: dict[System, float] = {}

    def recorded(system: System) -> tuple[float, NDArray[np.float64]]:
        energy, forces = surface(system)
        energies.clear()
        energies[system] = energy
        return energy, forces

    end = relaxed(start, recorded)
    return Minimum(end, energies[end] if end in energies else surface(end)[0])


def of_ion(start: System, relax: Callable[[System], Minimum]) -> Minimum:
    """The minimum that `relax` finds from the geometry of a state with other electrons; raises what it raises.

    What is symmetric there stays so, as no force breaks it, and may end on a saddle point: CO2's anion is bent, and
    lies electronvolts below a linear one. So a symmetric end is shaken and relaxed again, and the lower end counts,
    unless it is another molecule's (acetonitrile's anion loses a hydrogen so at GFN2).
    """
    found = relax(start)
    if not symmetric(found.system):
        return found
    try:
        other = relax(shaken(found.system))
    except (NotConverged, Rearranged):
        return found
    return min(found, other, key=lambda end: end.energy)


def symmetric(system: System) -> bool:
    """Whether forces can vanish by symmetry: atoms lie in a plane, or two of an element have the same surroundings."""
    positions, numbers = system.coordinates, system.numbers
    if len(positions) < 3:
        return False
    spread = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)[-1] / np.sqrt(len(positions))
    if spread < SYMMETRY:
        return True
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    order = [np.lexsort((row, numbers)) for row in distances]  # by element, the near ones first
    surroundings = np.array([row[indices] for row, indices in zip(distances, order, strict=True)])
    differences = np.abs(surroundings[:, None] - surroundings[None]).max(axis=-1)
    alike = (differences < SYMMETRY) & (numbers[:, None] == numbers[None])
    return bool(np.triu(alike, 1).any())


def shaken(system: System) -> System:
    """`system` with its atoms moved a little at random, the same for the same atoms and electrons."""
    seed = int(content_hash(["shaken", system.symbols, system.charge, system.spin])[:16], 16)
    return system.moved(system.coordinates + np.random.default_rng(seed).normal(0.0, SHAKE, (len(system.symbols), 3)))


def _read(path: Path, start: System) -> Minimum | None:
    """The stored minimum of `start`; None when there is none, or a file that isn't whole."""
    try:
        stored = json.loads(path.read_text())
        positions = np.array(stored["positions"], dtype=np.float64)
        energy, symbols = float(stored["energy"]), tuple(stored["symbols"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if symbols != start.symbols or positions.shape != (len(symbols), 3):
        return None
    if not np.isfinite([*positions.ravel(), energy]).all():
        return None
    used(path)
    return Minimum(start.moved(positions), energy)


def _write(path: Path, found: Minimum) -> None:
    """Write beside and rename, so that two processes leave one whole file; without a folder to write to, do nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
            json.dump(
                {"symbols": found.system.symbols, "positions": found.system.positions, "energy": found.energy}, file
            )
        Path(file.name).replace(path)
    except OSError:
        return


def surface_of(energy_and_forces: Callable[[System], Any]) -> EnergyAndForces:
    """The surface of a function that starts a calculation."""

    def surface(system: System) -> tuple[float, NDArray[np.float64]]:
        calculation = energy_and_forces(system)
        return calculation.energy(), calculation.forces()

    return surface
