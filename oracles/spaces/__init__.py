"""Design spaces: what may be asked."""

from __future__ import annotations

from theoros.oracles.spaces.base import FiniteSpace, Space
from theoros.oracles.spaces.conditions import When
from theoros.oracles.spaces.constraints import LinearConstraint
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.library import Library
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.one_parameter import Categorical, Integer, Ordinal, Parameter, Real
from theoros.oracles.spaces.parameters import Parameters
from theoros.oracles.spaces.parse import space_from_dict

__all__ = [
    "Categorical",
    "FiniteSpace",
    "Integer",
    "Library",
    "LinearConstraint",
    "Molecules",
    "Ordinal",
    "Parameter",
    "Parameters",
    "Real",
    "Space",
    "SpaceError",
    "When",
    "space_from_dict",
]
