"""What can be asked, and of whom: design spaces, the oracle contract and the built-in oracles.

These are the names that the author of an oracle writes; importing them imports nothing heavy.
"""

from __future__ import annotations

from theoros.oracles import failures
from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Oracle, Quantity
from theoros.oracles.decorate import oracle
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Categorical, Integer, Library, Molecules, Ordinal, Parameters, Real, Space, When

__all__ = [
    "Answer",
    "Candidate",
    "Categorical",
    "Fidelity",
    "Integer",
    "Library",
    "Molecules",
    "Oracle",
    "Ordinal",
    "Parameters",
    "Quantity",
    "Real",
    "Resources",
    "Space",
    "When",
    "failures",
    "oracle",
]
