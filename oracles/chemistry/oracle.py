"""PySCF and GFN-xTB as oracles: a ladder of levels over molecules or parametrised geometries."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry import properties
from theoros.oracles.chemistry.bonds import bonds_of, check_bonds
from theoros.oracles.chemistry.conformers import boltzmann, distinct, ensemble, populated
from theoros.oracles.chemistry.correlated import CorrelatedCalculation
from theoros.oracles.chemistry.costs import relative_costs
from theoros.oracles.chemistry.geometry import System, checked, fitting_space, system_of
from theoros.oracles.chemistry.levels import XTB_METHODS, ChemistryOptions, Level, OracleGeometry
from theoros.oracles.chemistry.names import includes_dispersion
from theoros.oracles.chemistry.reactions import Reaction, reaction_energy, spin_of
from theoros.oracles.chemistry.relaxation import Minimum, Relaxer, of_ion, surface_of
from theoros.oracles.chemistry.scf import Machine, MeanFieldCalculation, check_dispersion, check_gpu
from theoros.oracles.chemistry.tblite_backend import XTBCalculation, check_tblite
from theoros.oracles.contract import Answer, Fidelity, Quantity, Value, fidelity_of
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.resources import Resources
from theoros.oracles.spaces.base import Space

#: Energies of partners and products that an oracle remembers.
_REMEMBERED = 1024


class PySCFOracle:
    """Quantum chemistry by PySCF: a ladder of levels from GFN-xTB over Hartree-Fock and DFT to CCSD(T).

    Candidates are molecules (``data["smiles"]``) or, with ``geometry={"template": ...}``, the parameters of a z-matrix
    or xyz text. `fidelities` are `Level`s as dicts, cheapest first; see `ChemistryOptions` for the other options and
    `properties.OUTPUTS` for the outputs, their units and shapes.

    Raises, all before anything expensive: pydantic's ValidationError (a ValueError) with the path of the option,
    MissingOutput for an output that a level can't give, MissingDependency for tblite, gpu4pyscf or pyscf-dispersion.
    """

    name: str = "pyscf"
    deterministic: bool = True
    cache_version: str = "4"
    _methods: ClassVar[Sequence[str] | None] = None

    def __init__(
        self,
        *,
        space: Space | None = None,
        outputs: Sequence[str] = ("energy",),
        fidelities: Sequence[Mapping[str, Any] | Level],
        geometry: Mapping[str, Any] | OracleGeometry | None = None,
        reaction: str | Mapping[str, Any] | Reaction | None = None,
        charge: int | None = None,
        spin: int = 0,
        resources: Mapping[str, Any] | Resources | None = None,
    ) -> None:
        self.options = options = ChemistryOptions.model_validate(
            {
                "fidelities": fidelities,
                "outputs": [outputs] if isinstance(outputs, str) else list(outputs),
                "geometry": geometry or {},
                "reaction": reaction,
                "charge": charge,
                "spin": spin,
                "resources": resources or {},
            }
        )
        self._check_methods()
        self.outputs: Mapping[str, Quantity] = properties.declared(options)
        self._check_relaxation()
        self.resources = options.resources
        self.space: Space = fitting_space(space, options.geometry)
        self._check_dependencies()
        self._levels = {level.name: level for level in options.fidelities}
        self.fidelities = tuple(
            Fidelity(level.name, cost, options.settings(level), level.description or level.label)
            for level, cost in zip(options.fidelities, relative_costs(options), strict=True)
        )
        self._relaxer = Relaxer()
        self._molecules: OrderedDict[tuple[str, str], float] = OrderedDict()

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Answer `candidate` at the level `fidelity`.

        Raises KeyError for an unknown fidelity, InvalidCandidate (unreadable or unembeddable SMILES, overlapping atoms,
        electrons that don't fit the spin, an element that the level lacks), Rearranged and NotConverged.
        """
        level = self._levels[fidelity_of(self, fidelity).name]
        started = time.perf_counter()
        with self._threads():
            if self.options.geometry.ensemble:
                found, details = self._mean(candidate, level)
            else:
                found, details, _ = self._answer(candidate, level, self._geometry(candidate, level))
        return Answer(found, {"method": level.label, **details, "seconds": time.perf_counter() - started})

    def system(self, candidate: Candidate) -> System:
        """The candidate's nuclei and electrons, before any relaxation at a level; raises InvalidCandidate."""
        return self._electrons(candidate, system_of(candidate, self.options.geometry))

    def _electrons(self, candidate: Candidate, system: System) -> System:
        """`system` with the options' charge and spin; what reacts has those of its SMILES, as its partners have."""
        charge = system.charge if self.options.charge is None else self.options.charge
        spin = spin_of(str(candidate.data["smiles"])) if self._reaction else self.options.spin
        return checked(replace(system, charge=charge, spin=spin))

    @property
    def _reaction(self) -> Reaction | None:
        return self.options.reaction if "reaction_energy" in self.options.outputs else None

    def _answer(
        self, candidate: Candidate, level: Level, system: System
    ) -> tuple[dict[str, Value], dict[str, Any], float]:
        """The outputs of one structure, details of how they came, and its energy (eV)."""
        relaxing = self.options.relaxing_level(level)
        calculate = self._calculate(level)
        calculation = calculate(system)
        relax = (lambda ion: self._relax_ion(candidate, ion, relaxing).system) if relaxing else None
        single = [name for name in self.options.outputs if name not in properties.COMPARED]
        found = properties.values(single, system, calculation, calculate, relax)
        details = {
            **calculation.report(),
            "charge": system.charge,
            "spin": system.spin,
            "geometry": {"symbols": list(system.symbols), "positions": np.round(system.coordinates, 8).tolist()},
        }
        if "smiles" in candidate.data and self.options.charge is None:
            written = spin_of(str(candidate.data["smiles"]))
            if written != system.spin:
                details["spin_of_smiles"] = written
        if self._reaction:
            found["reaction_energy"], details["reaction"] = reaction_energy(
                self._reaction,
                str(candidate.data["smiles"]),
                calculation.energy(),
                lambda smiles: self._energy_of(smiles, level),
            )
        return found, details, calculation.energy()

    def _energy_of(self, smiles: str, level: Level) -> float:
        """The energy (eV) of a molecule that reacts with the candidate or is made of it; remembered."""
        key = (level.name, smiles)
        if key not in self._molecules:
            molecule = Candidate("molecule", {"smiles": smiles})
            start = checked(replace(system_of(molecule, self.options.geometry), spin=spin_of(smiles)))
            relaxing = self.options.relaxing_level(level)
            end = self._relax(molecule, start, relaxing).system if relaxing else start
            self._molecules[key] = self._calculate(level)(end).energy()
            if len(self._molecules) > _REMEMBERED:
                self._molecules.popitem(last=False)
        return self._molecules[key]

    def _mean(self, candidate: Candidate, level: Level) -> tuple[dict[str, Value], dict[str, Any]]:
        """The outputs' means over the conformers; the details are the most populated one's."""
        minima = self._conformers(candidate, level)
        temperature = self.options.geometry.ensemble.temperature if self.options.geometry.ensemble else 0.0
        energies = [minimum.energy for minimum in minima]
        if self.options.relaxing_level(level):
            minima = [minima[i] for i in populated(boltzmann(energies, temperature))]
            energies = [minimum.energy for minimum in minima]
        answers = [self._answer(candidate, level, minimum.system) for minimum in minima]
        if not self.options.relaxing_level(level):
            energies = [energy for _, _, energy in answers]
        weights = boltzmann(energies, temperature)
        found: dict[str, Value] = {name: float(weights @ [a[0][name] for a in answers]) for name in answers[0][0]}
        if "conformer_energy" in self.options.outputs:
            own = [energy for _, _, energy in answers]
            found["conformer_energy"] = float(weights @ own) - min(own)
        conformers = {"weights": weights.tolist(), "energies": energies}
        return found, answers[int(weights.argmax())][1] | {"conformers": conformers}

    def _conformers(self, candidate: Candidate, level: Level) -> list[Minimum]:
        """The distinct conformers; those that no level relaxes have no energy yet (0)."""
        geometry, smiles = self.options.geometry, str(candidate.data.get("smiles"))
        count = geometry.ensemble.conformers if geometry.ensemble else 1
        starts = [self._electrons(candidate, system) for system in ensemble(smiles, count, geometry.seed)]
        relaxing = self.options.relaxing_level(level)
        if relaxing is None:
            return [Minimum(start, 0.0) for start in starts]
        minima = [self._relax_candidate(candidate, start, relaxing) for start in starts]
        order = distinct(smiles, [m.system for m in minima], [m.energy for m in minima])
        return [minima[i] for i in order]

    def _geometry(self, candidate: Candidate, level: Level) -> System:
        start = self.system(candidate)
        relaxing = self.options.relaxing_level(level)
        return self._relax_candidate(candidate, start, relaxing).system if relaxing else start

    def _relax_candidate(self, candidate: Candidate, start: System, relaxing: Level) -> Minimum:
        """With a charge or spin that its SMILES, by which it was embedded, doesn't say, the candidate is an ion."""
        relax = self._relax_ion if self.options.charge or self.options.spin else self._relax
        return relax(candidate, start, relaxing)

    def _relax_ion(self, candidate: Candidate, start: System, relaxing: Level) -> Minimum:
        return of_ion(start, lambda system: self._relax(candidate, system, relaxing))

    def _relax(self, candidate: Candidate, start: System, relaxing: Level) -> Minimum:
        """The minimum that `start`, the candidate or an ion of it, relaxes into.

        Raises NotConverged, Rearranged, and InvalidCandidate where the level has no gradients for its spin.
        """
        if reason := properties.no_forces(relaxing, start.spin):  # of an ion, or of a radical that reacts
            raise InvalidCandidate(f"{start.spin} unpaired electrons can't be relaxed at {relaxing.name!r}: {reason}")
        found = self._relaxer(start, relaxing.theory(), surface_of(self._calculate(relaxing)))
        if self.options.geometry.keep_bonds and "smiles" in candidate.data:
            check_bonds(found.system, bonds_of(str(candidate.data["smiles"])), relaxing.label)
        return found

    def _calculate(self, level: Level) -> Callable[[System], properties.Calculation]:
        if level.is_xtb:
            return lambda system: XTBCalculation(system, level)
        memory = self.resources.memory
        machine = Machine(memory_mb=0.8 * memory / 1e6 if memory else 4000.0, gpu=self.resources.num_gpus > 0)
        backend = CorrelatedCalculation if level.is_correlated else MeanFieldCalculation
        return lambda system: backend(system, level, machine)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Hold PySCF's OpenMP loops and BLAS to the declared threads while an evaluation runs."""
        from pyscf import lib
        from threadpoolctl import threadpool_limits

        threads = self.resources.threads
        with lib.with_omp_threads(threads), threadpool_limits(limits=threads):
            yield

    def _check_methods(self) -> None:
        problems: list[InitErrorDetails] = []
        for i, level in enumerate(self.options.fidelities):
            for key, check in (("basis", level.check_basis), ("method", level.check_method)):
                try:
                    if key == "method" and self._methods is not None and level.method not in self._methods:
                        raise ValueError(f"{self.name} has {' and '.join(self._methods)}, not {level.method!r}")
                    check()
                except ValueError as error:
                    problem = PydanticCustomError("unknown_name", "{message}", {"message": str(error)})
                    problems.append({"type": problem, "loc": ("fidelities", i, key), "input": getattr(level, key)})
        if problems:
            raise ValidationError.from_exception_data(self.name, problems)

    def _check_relaxation(self) -> None:
        for i, level in enumerate(self.options.fidelities):
            relaxing = self.options.relaxing_level(level)
            if relaxing and (reason := properties.no_forces(relaxing, self.options.spin)):
                raise properties.MissingOutput(
                    f"no geometry can be relaxed at {relaxing.name!r}: {reason}", ("fidelities", i)
                )

    def _check_dependencies(self) -> None:
        levels = self.options.fidelities
        if any(level.is_xtb for level in levels):
            check_tblite()
        if any(level.dispersion or (level.is_dft and includes_dispersion(level.functional)) for level in levels):
            check_dispersion()
        if self.resources.num_gpus > 0 and not all(level.is_xtb for level in levels):
            check_gpu()


class XTBOracle(PySCFOracle):
    """GFN1-xTB and GFN2-xTB by tblite: milliseconds a molecule. The options are `PySCFOracle`'s."""

    name: str = "xtb"
    _methods: ClassVar[Sequence[str] | None] = XTB_METHODS

    def __init__(
        self,
        *,
        space: Space | None = None,
        outputs: Sequence[str] = ("energy",),
        fidelities: Sequence[Mapping[str, Any] | Level] = ({"method": "gfn2"},),
        geometry: Mapping[str, Any] | OracleGeometry | None = None,
        reaction: str | Mapping[str, Any] | Reaction | None = None,
        charge: int | None = None,
        spin: int = 0,
        resources: Mapping[str, Any] | Resources | None = None,
    ) -> None:
        # Written out, because a campaign gives its space, outputs and resources to those who name them.
        super().__init__(
            space=space,
            outputs=outputs,
            fidelities=fidelities,
            geometry=geometry,
            reaction=reaction,
            charge=charge,
            spin=spin,
            resources=resources,
        )
