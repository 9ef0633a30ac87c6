"""Quantum chemistry as an oracle: PySCF and GFN-xTB behind one ladder of levels.

`levels` is what a user writes, `geometry` makes coordinates of a candidate, `scf`, `correlated`, `response` and
`tblite_backend` calculate, `properties` names the outputs, and `oracle` puts them together.
"""
