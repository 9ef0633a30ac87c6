"""Vertical excitations of closed-shell molecules in the Tamm-Dancoff approximation, by PySCF.

For Hartree-Fock this is CIS; for a functional it is TDA-TDDFT (Hirata and Head-Gordon,
doi:10.1016/S0009-2614(99)01149-5), whose triplets don't collapse as those of full TDDFT do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry.exchange import with_transition_exchange
from theoros.oracles.chemistry.solvents import Solvent
from theoros.oracles.chemistry.units import HARTREE
from theoros.oracles.failures import BadAnswer, NotConverged

Array = NDArray[np.float64]

#: Roots looked for: the lowest of so many is the first state also where orbital energies order the states wrongly.
ROOTS = 5
#: Until their residuals are below this (hartree), which tells which is the first; then only it, and those less than
#: `NEAR` (eV) above it, are followed to the end, since converging the others is most of the work.
ROUGH, NEAR = 1e-2, 0.2
#: Largest residual (hartree) of what is followed to the end, PySCF's default, and the most cycles.
RESIDUAL, CYCLES = 1e-5, 200
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
    method.singlet, method.verbose = singlet, 0
    if solvent is not None:
        if solvent.refractive_index is None:
            raise ValueError("an excitation in a solvent needs its refractive_index")
        optical = method.with_solvent
        optical.reset()
        optical.eps = solvent.refractive_index**2
        optical.build()
    energies = _lowest(method)
    first = float(energies.min())
    strengths = np.asarray(method.oscillator_strength()) if singlet else np.zeros_like(energies)
    return Excitation(first, float(strengths[energies <= first + DEGENERATE].sum()))


def _lowest(method: Any) -> Array:
    """Energies (eV) of the first state and of those near it, rising; `method` is left with these states.

    By Davidson's algorithm, which makes new vectors for what has not converged only; the solver that PySCF 2.14 uses
    here makes them for the whole space, four times as many. Energies below zero are kept, which it would skip.
    """
    from pyscf import lib

    product, diagonal = method.gen_vind()
    precondition = method.get_precond(diagonal)
    found: Any = method.get_init_guess(method._scf, ROOTS)
    roots = min(ROOTS, len(found))
    for residual in (ROUGH, RESIDUAL):
        converged, values, found = lib.davidson1(
            lambda vectors: list(product(np.asarray(vectors))),
            list(found),
            lambda error, energy, _: precondition(error, energy),
            tol=residual**2,
            tol_residual=residual,
            max_cycle=CYCLES,
            max_space=12 * ROOTS,
            nroots=roots,
            verbose=0,
        )
        energies = np.asarray(values, dtype=np.float64) * HARTREE
        roots = int((energies <= energies.min() + NEAR).sum())
    if not converged[int(energies.argmin())]:
        raise NotConverged(f"the first excitation did not converge in {CYCLES} cycles")
    occupied = int((method._scf.mo_occ > 0).sum())
    method.e = energies / HARTREE
    method.xy = [(np.reshape(vector, (occupied, -1)) * np.sqrt(0.5), 0) for vector in found]
    return energies
