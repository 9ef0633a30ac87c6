"""The outputs of a quantum-chemical oracle, and how each follows from a calculation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry.geometry import System, checked
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.contract import Quantity, Value
from theoros.oracles.failures import InvalidCandidate

OUTPUTS: dict[str, Quantity] = {
    "energy": Quantity("eV", (), "total energy"),
    "dipole": Quantity("debye", (), "magnitude of the electric dipole; an ion's is about its centre of nuclear charge"),
    "dipole_vector": Quantity("debye", (3,), "electric dipole; an ion's is about its centre of nuclear charge"),
    "homo": Quantity("eV", (), "energy of the highest occupied orbital (of both spins)"),
    "lumo": Quantity("eV", (), "energy of the lowest empty orbital (of both spins)"),
    "gap": Quantity("eV", (), "LUMO minus HOMO energy"),
    "polarizability": Quantity("angstrom**3", (), "isotropic static polarizability volume"),
    "polarizability_tensor": Quantity("angstrom**3", (3, 3), "static polarizability volume"),
    "polarizability_per_heavy_atom": Quantity("angstrom**3", (), "isotropic static polarizability over heavy atoms"),
    "ionization_potential": Quantity("eV", (), "vertical: energy of the cation minus that of the molecule (delta-SCF)"),
    "electron_affinity": Quantity("eV", (), "vertical: energy of the molecule minus that of the anion (delta-SCF)"),
    "forces": Quantity("eV/angstrom", ("atoms", 3), "minus the energy's gradient"),
}


class MissingOutput(ValueError):
    """An output that isn't known, or that a level of the ladder can't give.

    `field` is where the oracle's options ask for it, as in `theoros.oracles.reference.OracleOptionError`.
    """

    def __init__(self, message: str, field: tuple[str | int, ...] = ("outputs",)) -> None:
        super().__init__(message)
        self.field = field


class Calculation(Protocol):
    """One system at one level; properties are computed when asked for, from one shared solution."""

    def energy(self) -> float:
        """Total energy in eV."""
        ...

    def dipole(self) -> NDArray[np.float64]:
        """Dipole in debye, shape (3,)."""
        ...

    def frontier(self) -> tuple[float, float]:
        """HOMO and LUMO energies in eV."""
        ...

    def polarizability(self) -> NDArray[np.float64]:
        """Static polarizability in angstrom^3, shape (3, 3)."""
        ...

    def forces(self) -> NDArray[np.float64]:
        """Forces in eV/angstrom, shape (atoms, 3)."""
        ...

    def report(self) -> dict[str, Any]:
        """JSON data about how it went."""
        ...


def declared(outputs: Sequence[str], levels: Sequence[Level], spin: int = 0) -> dict[str, Quantity]:
    """The quantities called `outputs`; raises MissingOutput for one that is unknown or that some level can't give."""
    import difflib

    for name in outputs:
        if name not in OUTPUTS:
            close = difflib.get_close_matches(name, OUTPUTS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(OUTPUTS)}."
            raise MissingOutput(f"no output is called {name!r}. {hint}")
        for level in levels:
            if name == "forces" and (reason := no_forces(level, spin)):
                raise MissingOutput(f"fidelity {level.name!r} can't give {name!r}: {reason}")
    return {name: OUTPUTS[name] for name in outputs}


def no_forces(level: Level, spin: int) -> str | None:
    """Why `level` gives no forces, with the mend; None where it does.

    Both cases would run in PySCF 2.14 and return gradients that are wrong (its issues 3305 and 3425).
    """
    if level.is_correlated and level.density_fit:
        return f"PySCF's density-fitted {level.method} gradients aren't those of its energy; set density_fit: false"
    if level.method == "ccsd(t)" and spin:
        return "PySCF's ccsd(t) gradients for unpaired electrons aren't those of its energy; use ccsd"
    return None


def values(
    outputs: Sequence[str], system: System, calculation: Calculation, calculate: Callable[[System], Calculation]
) -> Mapping[str, Value]:
    """Compute `outputs` of `system` from its `calculation`; `calculate` starts those of the ions."""
    found: dict[str, Value] = {}
    for name in outputs:
        found[name] = _value(name, system, calculation, calculate, found)
    return {name: found[name] for name in outputs}


def _value(
    name: str,
    system: System,
    calculation: Calculation,
    calculate: Callable[[System], Calculation],
    cache: dict[str, Value],
) -> Value:
    match name:
        case "energy":
            return calculation.energy()
        case "dipole":
            return float(np.linalg.norm(calculation.dipole()))
        case "dipole_vector":
            return calculation.dipole()
        case "homo":
            return calculation.frontier()[0]
        case "lumo":
            return calculation.frontier()[1]
        case "gap":
            homo, lumo = calculation.frontier()
            return lumo - homo
        case "polarizability" | "polarizability_tensor" | "polarizability_per_heavy_atom":
            return _polarizability(name, system, calculation, cache)
        case "ionization_potential":
            return calculate(checked(system.ion(+1))).energy() - calculation.energy()
        case "electron_affinity":
            return calculation.energy() - calculate(checked(system.ion(-1))).energy()
        case "forces":
            return calculation.forces()
        case _:
            raise MissingOutput(f"no output is called {name!r}")


def _polarizability(name: str, system: System, calculation: Calculation, cache: dict[str, Value]) -> Value:
    if "_tensor" not in cache:
        cache["_tensor"] = calculation.polarizability()
    tensor = np.asarray(cache["_tensor"])
    isotropic = float(np.trace(tensor)) / 3
    if name == "polarizability_tensor":
        return tensor
    if name == "polarizability":
        return isotropic
    if system.heavy_atoms == 0:
        raise InvalidCandidate("the molecule has no heavy atom to divide its polarizability by")
    return isotropic / system.heavy_atoms
