"""GFN1-xTB and GFN2-xTB by tblite.

Sources: Grimme, Bannwarth and Shushkov, doi:10.1021/acs.jctc.7b00118 (GFN1); Bannwarth, Ehlert and Grimme,
doi:10.1021/acs.jctc.8b01176 (GFN2).
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.chemistry.scf import about_nuclei
from theoros.oracles.chemistry.units import BOHR, CUBIC_BOHR, DEBYE, FORCE_AU, HARTREE
from theoros.oracles.failures import BadAnswer, InvalidCandidate, MissingDependency, NotConverged

#: GFN-xTB binds an electron too strongly by about this (eV), to the neutral molecule as to its cation: the empirical
#: shift that the xtb program (--vipea) takes from both, for GFN1 and GFN2: `ipeashift` 0.178069 hartree of its
#: parameter files. Source: Asgeirsson, Bauer and Grimme, doi:10.1039/C7SC00601B.
ELECTRON_OFFSET = 4.8455
_METHODS = {"gfn1": "GFN1-xTB", "gfn2": "GFN2-xTB"}
#: tblite's accuracy factor: a tenth of the default thresholds, so that finite differences are smooth.
_ACCURACY = 0.1


def check_tblite() -> None:
    """Raise MissingDependency unless tblite is installed."""
    if importlib.util.find_spec("tblite") is None:
        raise MissingDependency(
            "a level asks for GFN-xTB, which tblite calculates, and that is not installed. "
            "Run: pip install 'theoros[xtb]'"
        )


class XTBCalculation:
    """Properties of one system at a GFN-xTB level."""

    electron_offset: float = ELECTRON_OFFSET

    def __init__(self, system: System, level: Level) -> None:
        self.system, self.level = system, level

    @cached_property
    def result(self) -> Any:
        """The result of tblite without a field."""
        return self._run(None)

    def of(self, system: System) -> XTBCalculation:
        """The calculation of the same nuclei with other electrons; a solvent turns with them (tblite has no other)."""
        return XTBCalculation(system, self.level)

    def energy(self) -> float:
        """Total energy in eV, on the method's own zero (valence electrons only)."""
        return float(self.result.get("energy")) * HARTREE

    def dipole(self) -> NDArray[np.float64]:
        """Dipole in debye, shape (3,); an ion's is about its centre of nuclear charge."""
        return about_nuclei(self.system, np.asarray(self.result.get("dipole"), dtype=np.float64)) * DEBYE

    def frontier(self) -> tuple[float, float]:
        """HOMO and LUMO energies in eV; with unpaired electrons the HOMO is the highest singly occupied orbital."""
        energies = np.ravel(self.result.get("orbital-energies"))
        electrons = round(float(np.sum(self.result.get("orbital-occupations"))))
        occupied = (electrons + self.system.spin) // 2
        if occupied >= len(energies):
            raise BadAnswer(f"{self.level.label} has no empty orbital for this molecule")
        return float(energies[occupied - 1]) * HARTREE, float(energies[occupied]) * HARTREE

    def polarizability(self) -> NDArray[np.float64]:
        """Static polarizability in angstrom^3, shape (3, 3), by finite differences of the dipole."""

        def dipole(field: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(self._run(field).get("dipole"), dtype=np.float64)

        return response.from_dipoles(dipole) * CUBIC_BOHR

    def forces(self) -> NDArray[np.float64]:
        """Forces in eV/angstrom, shape (atoms, 3)."""
        return -np.asarray(self.result.get("gradient"), dtype=np.float64) * FORCE_AU

    def report(self) -> dict[str, Any]:
        """JSON data about how it went."""
        from importlib.metadata import version

        return {"program": f"tblite {version('tblite')}", "scf_energy_hartree": float(self.result.get("energy"))}

    def _run(self, field: NDArray[np.float64] | None) -> Any:
        from tblite import library
        from tblite.exceptions import TBLiteRuntimeError, TBLiteValueError
        from tblite.interface import Calculator

        system = self.system
        try:
            calculator = Calculator(
                _METHODS[self.level.method], system.numbers, system.coordinates / BOHR,
                charge=float(system.charge), uhf=system.spin,
            )  # fmt: skip
            calculator.set("verbosity", 0)
            calculator.set("accuracy", _ACCURACY)
            calculator.set("max-iter", self.level.max_cycle)
            if solvent := self.level.solvent:
                model = (
                    ("alpb-solvation", solvent.name) if solvent.name else ("ddX-solvation", solvent.dielectric, "cosmo")
                )
                calculator.add(*model)
            if field is not None:
                calculator.add("electric-field", library.ffi.new("double[3]", [float(f) for f in field]))
            return calculator.singlepoint()
        except TBLiteValueError as error:
            raise InvalidCandidate(f"{self.level.label} can't treat this molecule: {error}") from None
        except TBLiteRuntimeError as error:
            if "not converged" in str(error).lower():
                raise NotConverged(f"{self.level.label}: {error}; raise max_cycle") from None
            raise InvalidCandidate(f"{self.level.label} can't treat this molecule: {error}") from None
