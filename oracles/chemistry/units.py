"""Atomic units in ASE's units: CODATA 2018 values."""

from __future__ import annotations

HARTREE = 27.211386245988  #: eV
BOHR = 0.529177210903  #: angstrom
DEBYE = 2.5417464739297717  #: debye in one e a0
CUBIC_BOHR = BOHR**3  #: angstrom^3, for polarizability volumes
KELVIN = 8.617333262e-5  #: eV: Boltzmann's constant
KCAL_PER_MOL = 0.0433641  #: eV
FORCE_AU = HARTREE / BOHR  #: eV/angstrom
