"""Quantum chemistry as an oracle: PySCF and GFN-xTB behind one ladder of levels.

`levels` is what a user writes, with `solvents`, `reactions` and `double_hybrids`; `geometry` and `conformers` make
coordinates of a candidate, `relaxation` relaxes and keeps them, `bonds` holds them against the candidate; `scf`,
`cavity`, `correlated`, `response`, `excitations` and `tblite_backend` calculate, `properties` names the outputs, and
`oracle` joins them.
"""
