"""Vertical excitations of closed-shell molecules in the Tamm-Dancoff approximation, by PySCF.

For Hartree-Fock this is CIS; for a functional it is TDA-TDDFT (Hirata and Head-Gordon,
doi:10.1016/S0009-2614(99)01149-5), whose triplets don't collapse as those of full TDDFT do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from theoros.oracles.chemistry.exchange import with_transition_exchange
from theoros.oracles.chemistry.solvents import Solvent
from theoros.oracles.chemistry.units import HARTREE
from theoros.oracles.failures import BadAnswer, NotConverged

#: Roots asked for: the lowest of so many is the first state also where orbital energies order the states wrongly.
ROOTS = 5
#: States within this (eV) of the first are degenerate with it, and share its oscillator strength.
DEGENERATE = 1e-3


@dataclass(frozen=True)
class Excitation:
    """The first state above: energy in eV, and oscillator strength summed over what is degenerate with it."""

    energy: float
    oscillator_strength: float


def first_excitation(solved: Any, *, singlet: bool, solvent: Solvent | None = None) -> Excitation:
    """First singlet or triplet excitation of a converged RHF or RKS; a triplet's oscillator strength is 0.

    In a solvent only its electrons respond (non-equilibrium, linear response). An energy below zero says that the
    closed-shell solution is not the ground state. Raises NotConverged, and BadAnswer without an empty orbital.
    """
    if not (solved.mo_occ == 0).any():
        raise BadAnswer("the basis leaves no empty orbital to excite to; use a larger basis")
    fitted = getattr(solved, "with_df", None) is not None
    method = (with_transition_exchange(solved) if fitted else solved).TDA()
    method.singlet, method.nstates, method.max_cycle, method.verbose = singlet, ROOTS, 200, 0
    method.positive_eig_threshold = -1e9  # PySCF would skip states below the reference without a word
    if solvent is not None:
        if solvent.refractive_index is None:
            raise ValueError("an excitation in a solvent needs its refractive_index")
        optical = method.with_solvent
        optical.reset()
        optical.eps = solvent.refractive_index**2
        optical.build()
    method.kernel()
    energies, converged = np.asarray(method.e, dtype=np.float64) * HARTREE, np.asarray(method.converged)
    if energies.size == 0 or not converged[int(energies.argmin())]:
        raise NotConverged(f"the first excitation did not converge in {method.max_cycle} cycles")
    first = float(energies.min())
    strengths = np.asarray(method.oscillator_strength()) if singlet else np.zeros_like(energies)
    return Excitation(first, float(strengths[energies <= first + DEGENERATE].sum()))
