"""MP2, CCSD and CCSD(T) on a Hartree-Fock reference, and double hybrids, by PySCF. All electrons are correlated.

In a solvent the reference is solved in its field, and the correlation energy is that of the orbitals found there (the
PTE scheme of Cammi, doi:10.1063/1.3245400): the solvent doesn't respond to the correlated density.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.scf import MeanFieldCalculation, about_nuclei, mean_field, nuclear_field_energy, solve
from theoros.oracles.chemistry.units import CUBIC_BOHR, DEBYE, FORCE_AU, HARTREE
from theoros.oracles.failures import NotConverged


class CorrelatedCalculation(MeanFieldCalculation):
    """Energies and forces of the correlated method; dipole and polarizability as its energy's derivatives in a field.

    The orbital energies (homo, lumo, gap) are the reference's.
    """

    @cached_property
    def method(self) -> Any:
        """PySCF's solved correlated object."""
        return self._correlate(self.solved)

    def energy(self) -> float:
        """Total energy in eV."""
        return self._total(self.method) * HARTREE

    def dipole(self) -> NDArray[np.float64]:
        """Relaxed dipole in debye, shape (3,): the energy's first derivative in a field."""
        return about_nuclei(self.system, self._field_properties[0]) * DEBYE

    def polarizability(self) -> NDArray[np.float64]:
        """Static polarizability in angstrom^3, shape (3, 3): the energy's second derivative in a field."""
        return self._field_properties[1] * CUBIC_BOHR

    def forces(self) -> NDArray[np.float64]:
        """Forces in eV/angstrom, shape (atoms, 3), by analytic gradients."""
        gradient = self._triples_gradient() if self.level.method == "ccsd(t)" else self._gradient()
        return -np.asarray(gradient, dtype=np.float64) * FORCE_AU

    def _gradient(self) -> Any:
        gradient = self.method.nuc_grad_method()
        gradient.verbose = 0
        return gradient.kernel()

    def _triples_gradient(self) -> Any:
        from pyscf.cc import ccsd_t_lambda, uccsd_t_lambda
        from pyscf.grad import ccsd_t, uccsd_t

        multipliers, gradients = (uccsd_t_lambda, uccsd_t) if self.system.spin else (ccsd_t_lambda, ccsd_t)
        method, integrals = self.method, self.method.ao2mo()
        converged, l1, l2 = multipliers.kernel(
            method, integrals, method.t1, method.t2, max_cycle=method.max_cycle, tol=1e-8, verbose=0
        )
        if not converged:
            raise NotConverged(
                f"the CCSD(T) multipliers did not converge in {method.max_cycle} cycles; raise max_cycle"
            )
        gradient = gradients.Gradients(method)
        gradient.verbose = 0
        return gradient.kernel(method.t1, method.t2, l1, l2, eris=integrals)

    def report(self) -> dict[str, Any]:
        """JSON data about how it went."""
        return super().report() | {"correlation_energy_hartree": self._total(self.method) - float(self.solved.e_tot)}

    @cached_property
    def _field_properties(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        tight = self.level.model_copy(update={"conv_tol": min(self.level.conv_tol, 1e-10)})

        machine = replace(self.machine, gpu=False)
        like = None if self.machine.gpu else self.solved

        def energy(field: NDArray[np.float64]) -> float:
            solved = solve(mean_field(self.system, tight, machine, field, like), machine)
            return self._total(self._correlate(solved)) + nuclear_field_energy(solved.mol, field)

        return response.from_energies(energy)

    def _correlate(self, solved: Any) -> Any:
        from pyscf import cc, mp

        if self.level.method == "mp2" or self.level.double_hybrid:
            method = mp.MP2(solved)
            method.kernel(with_t2=not self.level.double_hybrid)  # the amplitudes are the forces' need
            return method
        if self.level.density_fit and not min(solved.mol.nelec):
            solved = solved.undo_df()  # PySCF's fitted CCSD fails where one spin has no electrons
        method = cc.CCSD(solved)
        method.conv_tol, method.conv_tol_normt, method.max_cycle = 1e-10, 1e-8, max(100, self.level.max_cycle)
        method.kernel()
        if not method.converged:
            raise NotConverged(f"CCSD did not converge in {method.max_cycle} cycles; raise max_cycle")
        method.theoros_triples = float(method.ccsd_t()) if self.level.method == "ccsd(t)" else 0.0
        return method

    def _total(self, method: Any) -> float:
        """Total energy in hartree."""
        if mix := self.level.double_hybrid:
            scaled = mix.opposite_spin * method.e_corr_os + mix.same_spin * method.e_corr_ss
            return float(method.e_hf) + float(scaled)
        return float(method.e_tot) + float(getattr(method, "theoros_triples", 0.0))
