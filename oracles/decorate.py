"""A function with a declaration is an oracle."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.failures import BadAnswer
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Parameters, Space

#: Arguments that a function may take beside the candidate's own.
EXTRAS = ("fidelity", "rng")


class FunctionOracle:
    """An oracle whose answers a plain function gives. Made by `oracle`; called, it is still that function."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        space: Space,
        outputs: Mapping[str, Quantity],
        fidelities: tuple[Fidelity, ...],
        resources: Resources,
        deterministic: bool,
        cache_version: str,
    ) -> None:
        self.function = function
        self.name = name
        self.space = space
        self.outputs = outputs
        self.fidelities = fidelities
        self.resources = resources
        self.deterministic = deterministic
        self.cache_version = cache_version
        self._extras = _extras(function, name, space)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<oracle {self.name}>"

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Call the function with the candidate's data as keyword arguments.

        Raises InvalidCandidate for data that the space can't read, KeyError for an unknown fidelity, BadAnswer for a
        result that is neither a mapping nor a single value, and whatever the function raises.
        """
        level = fidelity_of(self, fidelity)
        arguments = dict(self.space.candidate(candidate.data).data)
        if "fidelity" in self._extras:
            arguments["fidelity"] = level.name
        if "rng" in self._extras:
            # From the candidate's own hash: the same question meets the same random numbers, in any order and place.
            arguments["rng"] = np.random.default_rng([int(candidate.hash[:16], 16), *level.name.encode()])
        return self._answer(self.function(**arguments))

    def _answer(self, result: Any) -> Answer:
        if isinstance(result, Answer):
            return result
        if isinstance(result, Mapping):
            return Answer(dict(result))
        if len(self.outputs) == 1 and result is not None:
            return Answer({next(iter(self.outputs)): result})
        raise BadAnswer(
            f"{self.name} returned {type(result).__name__}. Return a mapping of {', '.join(self.outputs)} to values."
        )


def oracle(
    *,
    space: Space,
    outputs: Mapping[str, Quantity | str],
    fidelities: Sequence[Fidelity] | None = None,
    resources: Resources | None = None,
    name: str | None = None,
    deterministic: bool = True,
    cache_version: str = "1",
) -> Callable[[Callable[..., Any]], FunctionOracle]:
    """Turn a function into an oracle.

    The function takes the parameters of `space` by name (``smiles`` for molecules) and, when its signature has them,
    ``fidelity`` (the level's name) and ``rng`` (a NumPy generator, seeded by the candidate). It returns a mapping of
    output names to values in the declared units, an `Answer`, or the bare value of a single output. A unit alone may
    stand for a Quantity.

    `name` is ``module:function`` unless it is given. It enters the cache of answers together with `cache_version`,
    which the author raises when answers change. Raises TypeError when the arguments do not fit the space.
    """

    def decorate(function: Callable[..., Any]) -> FunctionOracle:
        return FunctionOracle(
            function,
            name=name or f"{function.__module__}:{function.__qualname__}",
            space=space,
            outputs={key: Quantity(value) if isinstance(value, str) else value for key, value in outputs.items()},
            fidelities=tuple(fidelities or (Fidelity("full"),)),
            resources=resources or Resources(),
            deterministic=deterministic,
            cache_version=cache_version,
        )

    return decorate


def _extras(function: Callable[..., Any], name: str, space: Space) -> frozenset[str]:
    """Which of `EXTRAS` the function takes; raises TypeError when its other arguments do not fit the space."""
    parameters = inspect.signature(function).parameters.values()
    taken = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    needed = {p.name for p in parameters if p.name in taken and p.default is p.empty}
    if space.kind == "molecule":
        own = {"smiles"}
    elif isinstance(space, Parameters):
        own = set(space.parameters)
    else:  # the columns of a library are not known before its file is read
        return frozenset(EXTRAS) & taken
    extras = frozenset(EXTRAS) & taken - own
    if surplus := needed - own - extras:
        raise TypeError(f"the oracle {name} takes {sorted(surplus)}, which its space does not have: {sorted(own)}")
    if not any(p.kind is p.VAR_KEYWORD for p in parameters) and (lacking := own - taken):
        raise TypeError(f"the oracle {name} does not take {sorted(lacking)}, which its space has")
    return extras
