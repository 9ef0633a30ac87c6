"""The outputs of a quantum-chemical oracle, and how each follows from a calculation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry.geometry import System, checked
from theoros.oracles.chemistry.levels import ChemistryOptions, Level
from theoros.oracles.chemistry.scf import MeanFieldCalculation
from theoros.oracles.contract import Quantity, Value
from theoros.oracles.failures import InvalidCandidate

#: Absolute potential (V) of the standard hydrogen electrode that goes with continuum solvents, which leave out the
#: surface potential that is in IUPAC's 4.44: Kelly, Cramer and Truhlar, doi:10.1021/jp065403l; Isse and Gennaro,
#: doi:10.1021/jp100402x.
ABSOLUTE_SHE = 4.28

OUTPUTS: dict[str, Quantity] = {
    "energy": Quantity("eV", (), "total energy"),
    "dipole": Quantity("debye", (), "magnitude of the electric dipole; an ion's is about its centre of nuclear charge"),
    "dipole_vector": Quantity("debye", (3,), "electric dipole; an ion's is about its centre of nuclear charge"),
    "homo": Quantity("eV", (), "energy of the highest occupied orbital (of both spins) of the self-consistent field"),
    "lumo": Quantity("eV", (), "energy of the lowest empty orbital (of both spins) of the self-consistent field"),
    "gap": Quantity(
        "eV",
        (),
        "LUMO minus HOMO energy; mp2, ccsd and ccsd(t) have Hartree-Fock's orbitals, a double hybrid its hybrid part's "
        "(the fundamental gap is ionization_potential minus electron_affinity)",
    ),
    "polarizability": Quantity("angstrom**3", (), "isotropic static polarizability volume"),
    "polarizability_tensor": Quantity("angstrom**3", (3, 3), "static polarizability volume"),
    "polarizability_per_heavy_atom": Quantity("angstrom**3", (), "isotropic static polarizability over heavy atoms"),
    "ionization_potential": Quantity(
        "eV", (), "vertical: energy of the cation in its lowest spin minus that of the molecule"
    ),
    "electron_affinity": Quantity(
        "eV", (), "vertical: energy of the molecule minus that of the anion in its lowest spin"
    ),
    "adiabatic_ionization_potential": Quantity("eV", (), "energy of the relaxed cation minus that of the molecule"),
    "adiabatic_electron_affinity": Quantity("eV", (), "energy of the molecule minus that of the relaxed anion"),
    "reduction_potential": Quantity(
        "V", (), f"adiabatic electron affinity in the solvent minus {ABSOLUTE_SHE}: one electron, against the SHE"
    ),
    "singlet_triplet_gap": Quantity("eV", (), "vertical: energy of the lowest triplet minus that of the closed shell"),
    "excitation_energy": Quantity("eV", (), "vertical: first singlet excitation (TDA)"),
    "oscillator_strength": Quantity("", (), "of the first singlet excitation (TDA), with what is degenerate with it"),
    "triplet_excitation_energy": Quantity("eV", (), "vertical: first triplet excitation (TDA)"),
    "s1_t1_gap": Quantity("eV", (), "vertical: first singlet minus first triplet excitation (TDA)"),
    "reaction_energy": Quantity("eV", (), "energy of the `reaction`'s products minus that of its reactants"),
    "conformer_energy": Quantity("eV", (), "Boltzmann mean of the conformers' energies above the lowest one's"),
    "forces": Quantity("eV/angstrom", ("atoms", 3), "minus the energy's gradient"),
}

#: Outputs of relaxed ions, of excited states, of other electrons in the same place and solvent, and those that a single
#: structure doesn't have.
ADIABATIC = frozenset({"adiabatic_ionization_potential", "adiabatic_electron_affinity", "reduction_potential"})
EXCITED = frozenset({"excitation_energy", "oscillator_strength", "triplet_excitation_energy", "s1_t1_gap"})
VERTICAL = frozenset({"ionization_potential", "electron_affinity", "singlet_triplet_gap"})
COMPARED = frozenset({"reaction_energy", "conformer_energy"})


class MissingOutput(ValueError):
    """An output that isn't known, or that a level of the ladder can't give.

    `field` is where the oracle's options ask for it, as in `theoros.oracles.reference.OracleOptionError`.
    """

    def __init__(self, message: str, field: tuple[str | int, ...] = ("outputs",)) -> None:
        super().__init__(message)
        self.field = field


class Calculation(Protocol):
    """One system at one level; properties are computed when asked for, from one shared solution.

    `electron_offset` is the energy (eV) by which the method is known to bind any electron too strongly; ionisation
    potentials and affinities are less by it.
    """

    electron_offset: float

    def of(self, system: System) -> Calculation:
        """The calculation of the same nuclei with other electrons, in a solvent whose molecules don't turn."""
        ...

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


def declared(options: ChemistryOptions) -> dict[str, Quantity]:
    """The quantities that `options` ask for; raises MissingOutput for one unknown, or that some level can't give."""
    import difflib

    for name in options.outputs:
        if name not in OUTPUTS:
            close = difflib.get_close_matches(name, OUTPUTS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(OUTPUTS)}."
            raise MissingOutput(f"no output is called {name!r}. {hint}")
        if options.geometry.ensemble and OUTPUTS[name].shape:
            raise MissingOutput(f"an ensemble has no mean {name!r}: its conformers lie in different frames")
        for level in options.fidelities:
            if reason := missing(name, level, options):
                raise MissingOutput(f"fidelity {level.name!r} can't give {name!r}: {reason}")
    return {name: OUTPUTS[name] for name in options.outputs}


def missing(name: str, level: Level, options: ChemistryOptions) -> str | None:
    """Why `level` can't give the output `name`, with the mend; None where it can."""
    if name == "forces":
        return no_forces(level, options.spin)
    if name in EXCITED:
        return _no_excitations(level, options.spin)
    if name in COMPARED:
        return _not_compared(name, options)
    if name in VERTICAL and not level.is_xtb and level.solvent and level.solvent.refractive_index is None:
        return "the solvent's electrons follow the change; add solvent.refractive_index, or name the solvent"
    if name == "singlet_triplet_gap" and options.spin not in (0, 2):
        return "it is of molecules with an even number of electrons; set spin: 0"
    if name == "reduction_potential" and level.solvent is None:
        return "a potential is one in a solvent; add for example solvent: water to the level"
    if name in ADIABATIC and options.relaxing_level(level) is None:
        return "its ions are relaxed, and no level relaxes them; set optimize_geometry, or geometry.optimize: oracle"
    return None


def _not_compared(name: str, options: ChemistryOptions) -> str | None:
    if name == "conformer_energy":
        return None if options.geometry.ensemble else "it is of several conformers; set geometry.ensemble"
    if options.reaction is None:
        return "no reaction is given; set for example reaction: hydrogenation"
    if options.geometry.template is not None:
        return "a reaction is one of molecules; remove geometry.template"
    if options.geometry.ensemble:
        return "its molecules have one conformer each; remove geometry.ensemble"
    if options.charge is not None or options.spin:
        return "charge and spin of its molecules are what their SMILES say; remove charge and spin"
    return None


def _no_excitations(level: Level, spin: int) -> str | None:
    if level.is_xtb or level.is_correlated:
        return "excitations are of Hartree-Fock and density functionals"
    if spin:
        return "excitations are of closed shells, where singlets and triplets are told apart; set spin: 0"
    if level.solvent and level.solvent.refractive_index is None:
        return "the solvent's electrons respond to an excitation; add solvent.refractive_index, or name the solvent"
    return None


def no_forces(level: Level, spin: int) -> str | None:
    """Why `level` gives no forces, with the mend; None where it does.

    The first two would run in PySCF 2.14 and return gradients that are wrong (its issues 3305 and 3425).
    """
    if level.is_correlated and level.density_fit:
        return f"PySCF's density-fitted {level.method} gradients aren't those of its energy; set density_fit: false"
    if level.method == "ccsd(t)" and spin:
        return "PySCF's ccsd(t) gradients for unpaired electrons aren't those of its energy; use ccsd"
    if level.double_hybrid:
        return "PySCF has no gradients of double hybrids; use a hybrid"
    if level.is_correlated and level.solvent:
        return f"PySCF has no {level.method} gradients in a solvent; use a functional"
    return None


def values(
    outputs: Sequence[str],
    system: System,
    calculation: Calculation,
    calculate: Callable[[System], Calculation],
    relax: Callable[[System], System] | None = None,
) -> dict[str, Value]:
    """Compute `outputs` of `system` from its `calculation`; `calculate` and `relax` are for its ions."""
    subject = Subject(system, calculation, calculate, relax)
    return {name: subject.value(name) for name in outputs}


@dataclass
class Subject:
    """A system and what has been computed of it; each energy, of ions too, is computed once."""

    system: System
    calculation: Calculation
    calculate: Callable[[System], Calculation]
    relax: Callable[[System], System] | None

    def value(self, name: str) -> Value:
        """The output called `name`, in the unit and shape of `OUTPUTS`."""
        calculation = self.calculation
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
                return self._polarizability(name)
            case "forces":
                return calculation.forces()
            case _:
                return self._difference(name)

    def _difference(self, name: str) -> float:
        """The outputs that compare two states."""
        match name:
            case "ionization_potential":
                return self._vertical(+1) - self.calculation.energy() - self.calculation.electron_offset
            case "electron_affinity":
                return self.calculation.energy() - self._vertical(-1) - self.calculation.electron_offset
            case "adiabatic_ionization_potential":
                return self._adiabatic(+1) - self.calculation.energy() - self.calculation.electron_offset
            case "adiabatic_electron_affinity":
                return self._anion_is_below
            case "reduction_potential":
                return self._anion_is_below - ABSOLUTE_SHE
            case "singlet_triplet_gap":
                return self._with_spin(2) - self._with_spin(0)
            case "excitation_energy":
                return self._mean_field.singlet.energy
            case "oscillator_strength":
                return self._mean_field.singlet.oscillator_strength
            case "triplet_excitation_energy":
                return self._mean_field.triplet.energy
            case "s1_t1_gap":
                return self._mean_field.singlet.energy - self._mean_field.triplet.energy
            case _:
                raise MissingOutput(f"no output is called {name!r}")

    @property
    def _mean_field(self) -> MeanFieldCalculation:
        if not isinstance(self.calculation, MeanFieldCalculation):
            raise MissingOutput("excitations are of Hartree-Fock and density functionals")
        if self.system.spin:
            raise InvalidCandidate("excitations are of closed shells, and the molecule's SMILES has unpaired electrons")
        return self.calculation

    @cached_property
    def _anion_is_below(self) -> float:
        return self.calculation.energy() - self._adiabatic(-1) - self.calculation.electron_offset

    def _vertical(self, change: int) -> float:
        return self._lowest_ion(change, lambda ion: self.calculation.of(ion).energy())

    def _adiabatic(self, change: int) -> float:
        relax = self.relax
        if relax is None:
            raise MissingOutput("no level relaxes the ions")
        return self._lowest_ion(change, lambda ion: self.calculate(relax(ion)).energy())

    def _lowest_ion(self, change: int, energy_of: Callable[[System], float]) -> float:
        """The energy (eV) of the ion in its lowest spin; one that can't be, or falls apart, is passed over."""
        energies, refused = [], []
        for ion in self.system.ions(change):
            try:
                energies.append(energy_of(checked(ion)))
            except InvalidCandidate as error:
                refused.append(error)
        if not energies:
            raise refused[0]
        return min(energies)

    def _with_spin(self, spin: int) -> float:
        if spin == self.system.spin:
            return self.calculation.energy()
        return self.calculation.of(checked(replace(self.system, spin=spin))).energy()

    @cached_property
    def _tensor(self) -> NDArray[np.float64]:
        return self.calculation.polarizability()

    def _polarizability(self, name: str) -> Value:
        if name == "polarizability_tensor":
            return self._tensor
        isotropic = float(np.trace(self._tensor)) / 3
        if name == "polarizability":
            return isotropic
        if self.system.heavy_atoms == 0:
            raise InvalidCandidate("the molecule has no heavy atom to divide its polarizability by")
        return isotropic / self.system.heavy_atoms
