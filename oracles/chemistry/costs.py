"""Relative costs of levels, estimated where the user gives none."""

from __future__ import annotations

from collections.abc import Sequence

from theoros.oracles.chemistry import names, properties
from theoros.oracles.chemistry.levels import ChemistryOptions, Level

#: Basis functions of benzene in def2-svp: the unit of size below.
_UNIT = 114.0
#: Points of PySCF's grids relative to level 0.
_GRID = (1.0, 5.0, 8.0, 12.0, 17.0, 22.0, 28.0, 35.0, 43.0, 52.0)
_RELAXATION_STEPS = 25.0
#: Outputs that need the unrestricted energy of an ion or of another spin.
_OTHER_STATES = frozenset({"ionization_potential", "electron_affinity", "singlet_triplet_gap"})


def relative_costs(options: ChemistryOptions) -> list[float]:
    """Costs of the ladder's levels, the last one's being 1.0: the user's own where given, else estimates.

    An estimate is the one-core seconds of benzene, from timings of PySCF 2.14 and tblite 0.8: they rank levels and hold
    within a factor of about two for molecules of 6 to 9 heavy atoms. Measure and set `cost` where that matters.
    """
    seconds = [_seconds(level, options) for level in options.fidelities]
    top = options.fidelities[-1]
    scale = seconds[-1] / (top.cost or 1.0)
    costs = [level.cost or s / scale for level, s in zip(options.fidelities, seconds, strict=True)]
    return [cost / costs[-1] for cost in costs]


def _seconds(level: Level, options: ChemistryOptions) -> float:
    total = _single_point(level) * _properties(level, options.outputs)
    if relaxing := options.relaxing_level(level):
        ions = sum(name in properties.ADIABATIC for name in options.outputs)
        total += (1 + 2 * ions) * _RELAXATION_STEPS * 2.0 * _single_point(relaxing)
    return total


def _single_point(level: Level) -> float:
    if level.is_xtb:
        return 0.004
    size = 6 * (names.count_functions(str(level.basis), "C") + names.count_functions(str(level.basis), "H")) / _UNIT
    solvent = 2.0 if level.solvent else 1.0
    seconds = 0.2 * size**2 if level.density_fit else 0.8 * size**4
    if level.density_fit and names.has_exact_exchange(level.functional):
        seconds += 0.2 * size**3
    if level.is_dft:
        seconds += 0.25 * size**2 * _GRID[level.grid_level]
    if level.is_correlated:
        seconds += {"mp2": 0.5 * size**5, "ccsd": 40 * size**6, "ccsd(t)": 40 * size**6 + 60 * size**7}[
            "mp2" if level.double_hybrid else level.method
        ]
    return seconds * solvent


def _properties(level: Level, outputs: Sequence[str]) -> float:
    """How many single points' worth the outputs are."""
    factor = 1.0
    if any(name.startswith("polarizability") for name in outputs):
        factor += 6.0 if level.is_xtb else 12.0 if level.is_correlated else 1.3
    elif level.is_correlated and any(name.startswith("dipole") for name in outputs):
        factor += 12.0
    factor += 2.0 * sum(name in properties.ADIABATIC or name in _OTHER_STATES for name in outputs)
    factor += 2.0 * ("reaction_energy" in outputs)
    singlets = any(name in outputs for name in ("excitation_energy", "oscillator_strength", "s1_t1_gap"))
    triplets = any(name in outputs for name in ("triplet_excitation_energy", "s1_t1_gap"))
    factor += 5.0 * (singlets + triplets)
    return factor + (1.0 if "forces" in outputs else 0.0)
