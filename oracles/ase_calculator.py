"""Any ASE calculator as an oracle."""

from __future__ import annotations

import difflib
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry.geometry import System, fitting_space, relaxed, system_of
from theoros.oracles.chemistry.levels import GeometryOptions
from theoros.oracles.chemistry.properties import MissingOutput
from theoros.oracles.contract import Answer, Fidelity, Quantity, Value, fidelity_of
from theoros.oracles.failures import InvalidCandidate, MissingDependency, NotConverged
from theoros.oracles.resources import Resources
from theoros.oracles.spaces.base import Space

_DEBYE = 4.803204712570263  #: debye in one e angstrom, ASE's unit of dipoles

#: Output -> (what ASE calls it, its declaration).
OUTPUTS: dict[str, tuple[str, Quantity]] = {
    "energy": ("energy", Quantity("eV", (), "potential energy")),
    "energy_per_atom": ("energy", Quantity("eV", (), "potential energy over the number of atoms")),
    "forces": ("forces", Quantity("eV/angstrom", ("atoms", 3), "minus the energy's gradient")),
    "charges": ("charges", Quantity("e", ("atoms",), "the calculator's partial charges")),
    "dipole": ("dipole", Quantity("debye", (), "magnitude of the electric dipole")),
    "dipole_vector": ("dipole", Quantity("debye", (3,), "electric dipole")),
}


class ASEOptions(BaseModel):
    """The options of `ASEOracle`, as a campaign file gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calculator: str = Field(min_length=1)
    calculator_options: dict[str, Any] = Field(default_factory=dict)
    outputs: tuple[str, ...] = Field(default=("energy",), min_length=1)
    geometry: GeometryOptions = GeometryOptions()
    resources: Resources = Resources()


class ASEOracle:
    """Energies, forces, charges and dipoles by an ASE calculator.

    `calculator` is a name that ASE knows (``emt``, ``lj``, ``mace_mp``, ...) or ``module.path:name`` of a calculator
    class, or of a function that makes one; `calculator_options` are its keyword arguments. Candidates are molecules or
    parameters of a template, as for `theoros.oracles.chemistry.oracle.PySCFOracle`; `geometry.optimize: oracle` relaxes
    them with the calculator itself. There is one fidelity, ``calculator``.

    Raises at construction: ValidationError or ValueError for wrong options, an unknown calculator or an output that it
    does not implement, MissingDependency when the calculator's package isn't installed.
    """

    name: str = "ase"
    deterministic: bool = True
    cache_version: str = "1"

    def __init__(
        self,
        *,
        calculator: str,
        calculator_options: Mapping[str, Any] | None = None,
        space: Space | None = None,
        outputs: Sequence[str] = ("energy",),
        geometry: Mapping[str, Any] | GeometryOptions | None = None,
        resources: Mapping[str, Any] | Resources | None = None,
    ) -> None:
        self.options = options = ASEOptions.model_validate(
            {
                "calculator": calculator,
                "calculator_options": dict(calculator_options or {}),
                "outputs": [outputs] if isinstance(outputs, str) else list(outputs),
                "geometry": geometry or {},
                "resources": resources or {},
            }
        )
        factory = calculator_factory(options.calculator)
        self._calculator = factory(**options.calculator_options)
        self.outputs: Mapping[str, Quantity] = _declared(options, self._calculator)
        self.space: Space = fitting_space(space, options.geometry)
        self.resources = options.resources
        settings = {
            "calculator": options.calculator,
            "options": options.calculator_options,
            "geometry": options.geometry.protocol() | {"relaxed": options.geometry.optimize == "oracle"},
        }
        self.fidelities: tuple[Fidelity, ...] = (Fidelity("calculator", 1.0, settings, f"ASE {options.calculator}"),)

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Answer `candidate`; raises InvalidCandidate (an element that the calculator lacks, too) and NotConverged."""
        from threadpoolctl import threadpool_limits

        fidelity_of(self, fidelity)
        started = time.perf_counter()
        with threadpool_limits(limits=self.resources.threads):
            system = system_of(candidate, self.options.geometry)
            if self.options.geometry.optimize == "oracle":
                system = relaxed(system, self._surface)
            found = self._results(system, {OUTPUTS[name][0] for name in self.outputs})
        values = {name: _value(name, found) for name in self.outputs}
        geometry = {"symbols": list(system.symbols), "positions": np.round(system.coordinates, 8).tolist()}
        seconds = time.perf_counter() - started
        return Answer(values, {"method": self.options.calculator, "geometry": geometry, "seconds": seconds})

    def _surface(self, system: System) -> tuple[float, NDArray[np.float64]]:
        found = self._results(system, {"energy", "forces"})
        return float(found["energy"]), np.asarray(found["forces"], dtype=np.float64)

    def _results(self, system: System, properties: set[str]) -> dict[str, Any]:
        from ase import Atoms
        from ase.calculators.calculator import CalculationFailed, SCFError

        atoms = Atoms(list(system.symbols), positions=system.coordinates)
        atoms.info.update(charge=system.charge)
        try:
            found = {name: self._calculator.get_property(name, atoms) for name in sorted(properties)}
            return found | {"atoms": len(atoms)}
        except NotImplementedError as error:
            raise InvalidCandidate(f"{self.options.calculator} can't treat {atoms.symbols}: {error}") from error
        except (SCFError, CalculationFailed) as error:
            raise NotConverged(f"{self.options.calculator} failed for {atoms.symbols}: {error}") from error


def calculator_factory(name: str) -> Callable[..., Any]:
    """The class or function called `name`: one that ASE knows, or ``module.path:name``.

    Raises MissingDependency when its package isn't installed, ValueError with close matches when there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            return _attribute(importlib.import_module(module), attribute)
        return _ase_class(name)
    except ModuleNotFoundError as error:
        package = (error.name or module).split(".")[0]
        raise MissingDependency(
            f"the ASE calculator {name!r} needs the package {package!r}, which is not installed. "
            f"Install it, or correct the option calculator"
        ) from error


def _attribute(module: Any, attribute: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = getattr(module, attribute, None)
    if not callable(found):
        raise ValueError(f"calculator: the module {module.__name__!r} has no class or function {attribute!r}")
    return found


def _ase_class(name: str) -> Callable[..., Any]:
    from ase.calculators.calculator import external_calculators, get_calculator_class, names

    known = {*names, *external_calculators, "mattersim", "mace_mp"}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = (
            f"Did you mean {' or '.join(map(repr, close))}?"
            if close
            else "Write module.path:Class for one of your own."
        )
        raise ValueError(f"calculator: ASE has no calculator {name!r}. {hint}")
    found: Callable[..., Any] = get_calculator_class(name)
    return found


def _declared(options: ASEOptions, calculator: Any) -> dict[str, Quantity]:
    implemented = set(calculator.implemented_properties)
    if options.geometry.optimize == "oracle" and not {"energy", "forces"} <= implemented:
        raise ValueError(f"geometry.optimize: {options.calculator} has no forces to relax with; set optimize: mmff")
    for name in options.outputs:
        if name not in OUTPUTS:
            raise MissingOutput(f"no output is called {name!r}; there are {', '.join(OUTPUTS)}")
        if OUTPUTS[name][0] not in implemented:
            raise MissingOutput(f"{options.calculator} gives no {OUTPUTS[name][0]}; it has {sorted(implemented)}")
    return {name: OUTPUTS[name][1] for name in options.outputs}


def _value(name: str, found: Mapping[str, Any]) -> Value:
    array = np.asarray(found[OUTPUTS[name][0]], dtype=np.float64)
    match name:
        case "energy_per_atom":
            return float(array) / int(found["atoms"])
        case "dipole":
            return float(np.linalg.norm(array)) * _DEBYE
        case "dipole_vector":
            return array * _DEBYE
        case _:
            return float(array) if array.ndim == 0 else array
