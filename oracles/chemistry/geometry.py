"""From a candidate to coordinates: SMILES by RDKit, parameters by a template, relaxation by ASE."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry.levels import GeometryOptions
from theoros.oracles.chemistry.units import KCAL_PER_MOL
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.spaces.base import Space

#: Atoms nearer than this (angstrom) are a mistake: the shortest bond there is, H2's, measures 0.74.
OVERLAP = 0.3
#: A relaxation stops when no force component exceeds this (eV/angstrom), and gives up after so many steps.
FORCE_TOLERANCE = 0.02
RELAXATION_STEPS = 300

_PLACEHOLDER = re.compile(r"\{\s*([A-Za-z_]\w*)\s*\}")


@dataclass(frozen=True)
class System:
    """Nuclei and electrons: element symbols, positions (angstrom), total charge, unpaired electrons (2S)."""

    symbols: tuple[str, ...]
    positions: tuple[tuple[float, float, float], ...]
    charge: int = 0
    spin: int = 0

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """Positions in angstrom, shape (atoms, 3)."""
        return np.array(self.positions, dtype=np.float64).reshape(-1, 3)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers, shape (atoms,)."""
        from ase.data import atomic_numbers

        return np.array([atomic_numbers[symbol] for symbol in self.symbols], dtype=np.int64)

    @property
    def electrons(self) -> int:
        """Number of electrons, core included."""
        return int(self.numbers.sum()) - self.charge

    @property
    def heavy_atoms(self) -> int:
        """Atoms that aren't hydrogen."""
        return sum(symbol != "H" for symbol in self.symbols)

    def moved(self, positions: NDArray[np.float64]) -> System:
        """The same system with other positions, shape (atoms, 3), in angstrom."""
        rows = tuple((float(x), float(y), float(z)) for x, y, z in positions)
        return replace(self, positions=rows)

    def ions(self, change: int) -> tuple[System, ...]:
        """The vertical ions: `change` added to the charge, in each spin that one electron more or less allows.

        An open shell has two, of which either may lie lower: OH+ is a triplet, NO+ a singlet.
        """
        spins = (self.spin - 1, self.spin + 1) if self.spin else (1,)
        return tuple(replace(self, charge=self.charge + change, spin=spin) for spin in spins)


def checked(system: System) -> System:
    """Return `system`; raises InvalidCandidate for a spin that its electrons can't have."""
    if system.electrons < 1 or system.spin > system.electrons:
        raise InvalidCandidate(f"{system.electrons} electrons can't have {system.spin} unpaired ones")
    if (system.electrons - system.spin) % 2:
        raise InvalidCandidate(
            f"the molecule has {system.electrons} electrons, which can't have {system.spin} unpaired ones; "
            f"set charge or spin (the number of unpaired electrons) for radicals and ions"
        )
    return system


def system_of(candidate: Candidate, options: GeometryOptions) -> System:
    """The candidate's nuclei, by its SMILES or by the template; raises InvalidCandidate, for overlapping atoms too."""
    if options.template is not None:
        system = from_template(options.template, candidate.data)
    elif "smiles" in candidate.data:
        smiles = str(candidate.data["smiles"])
        system = from_smiles(smiles, options.conformers, options.force_field, options.seed)
    else:
        raise InvalidCandidate(
            f"the oracle needs a molecule (smiles), or parameters with the option geometry.template; "
            f"the candidate is of kind {candidate.kind!r}"
        )
    positions = system.coordinates
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1) + 1e9 * np.eye(len(positions))
    if distances.min() < OVERLAP:
        i, j = np.unravel_index(int(distances.argmin()), distances.shape)
        raise InvalidCandidate(
            f"atoms {i + 1} ({system.symbols[i]}) and {j + 1} ({system.symbols[j]}) are {distances.min():.3f} angstrom "
            f"apart, nearer than {OVERLAP}"
        )
    return system


def fitting_space(space: Space | None, options: GeometryOptions) -> Space:
    """Return `space` (without one: neutral molecules of C, N, O, F and S with up to 9 heavy atoms).

    Raises ValueError when the space's candidates don't fit the geometry options, or a template comes without a space.
    """
    if space is None:
        if options.template is not None:
            raise ValueError("a geometry template needs a design space: parameters named like its placeholders")
        from theoros.oracles.spaces.molecules import Molecules

        return Molecules()
    kind = "molecule" if options.template is None else "parameters"
    if space.kind != kind:
        raise ValueError(
            f"the space's candidates are of kind {space.kind!r}, and the geometry options need {kind!r}; "
            f"{'add geometry.template' if options.template is None else 'remove geometry.template'}"
        )
    if options.template is not None:
        wanted = placeholders(options.template)
        for candidate in space.sample(1, np.random.default_rng(0)):
            if wanted != candidate.data.keys():
                raise ValueError(
                    f"geometry.template has the placeholders {sorted(wanted)}, and the space the parameters "
                    f"{sorted(candidate.data)}; give both the same names"
                )
    return space


#: How far (degrees) a force field may turn the ends of an allene from where ETKDG puts them, and how hard it is held.
TWIST, TWIST_STRENGTH = 15.0, 100.0


@lru_cache(maxsize=1024)
def from_smiles(smiles: str, conformers: int, force_field: bool, seed: int) -> System:
    """Embed a molecule: `conformers` ETKDGv3 trials, the lowest in MMFF94 (else UFF) energy, repeatable by `seed`.

    The charge is the SMILES' formal charge. Raises InvalidCandidate for a SMILES that RDKit can't read or embed.
    """
    molecule, found, charge = embedded(smiles, conformers, seed)
    energies = force_field_energies(molecule, found, minimise=force_field)
    positions = molecule.GetConformer(found[int(np.argmin(energies))]).GetPositions()
    symbols = tuple(atom.GetSymbol() for atom in molecule.GetAtoms())
    return System(symbols, (), charge).moved(positions - positions.mean(axis=0))


def embedded(smiles: str, conformers: int, seed: int) -> tuple[Any, list[int], int]:
    """RDKit's molecule with hydrogens and up to `conformers` conformers, their numbers, and the formal charge.

    Raises InvalidCandidate for a SMILES that RDKit can't read or embed.

    Sources: Riniker and Landrum, doi:10.1021/acs.jcim.5b00654; Wang et al., doi:10.1021/acs.jcim.0c00025 (ETKDGv3);
    Halgren, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P (MMFF94).
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(smiles)
        if parsed is None or parsed.GetNumAtoms() == 0:
            raise InvalidCandidate(f"RDKit can't read the SMILES {smiles!r}")
        if any(atom.GetAtomicNum() == 0 for atom in parsed.GetAtoms()):
            raise InvalidCandidate(f"the SMILES {smiles!r} holds a wildcard atom, which has no nucleus")
        molecule = Chem.AddHs(parsed)
    return molecule, embed(molecule, smiles, conformers, seed), int(Chem.GetFormalCharge(molecule))


def embed(molecule: Any, smiles: str, conformers: int, seed: int) -> list[int]:
    """Numbers of up to `conformers` ETKDGv3 conformers, which replace those that RDKit's molecule has.

    Raises InvalidCandidate, which names `smiles`, where there are none.
    """
    from rdkit import rdBase
    from rdkit.Chem import rdDistGeom

    with rdBase.BlockLogs():
        protocol: Any = rdDistGeom.ETKDGv3()
        protocol.randomSeed = seed
        found = list(rdDistGeom.EmbedMultipleConfs(molecule, conformers, protocol))
        if not found:
            protocol.useRandomCoords = True
            found = list(rdDistGeom.EmbedMultipleConfs(molecule, conformers, protocol))
    if not found:
        raise InvalidCandidate(f"RDKit finds no three-dimensional structure for {smiles!r}")
    return found


def force_field_energies(molecule: Any, conformers: list[int], *, minimise: bool) -> list[float]:
    """MMFF94 (else UFF) energies in eV, minimised in place when asked; all zero where neither has parameters."""
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers

    with rdBase.BlockLogs():
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        if properties is None and not rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
            return [0.0] * len(conformers)

    def field_of(conformer: int) -> Any:
        if properties is not None:
            return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties, confId=conformer)
        return rdForceFieldHelpers.UFFGetMoleculeForceField(molecule, confId=conformer)

    twists = molecule.GetSubstructMatches(_cumulene())
    energies = []
    for conformer in conformers:
        if minimise:
            field = field_of(conformer)
            for first, second, _, third, last in twists:
                hold = field.MMFFAddTorsionConstraint if properties is not None else field.UFFAddTorsionConstraint
                hold(first, second, third, last, True, -TWIST, TWIST, TWIST_STRENGTH)
            field.Minimize(maxIts=2000)
        energies.append(float(field_of(conformer).CalcEnergy()) * KCAL_PER_MOL)
    return energies


@lru_cache(maxsize=1)
def _cumulene() -> Any:
    """Two double bonds at one carbon, whose ends stand at right angles. Force fields have no term that holds them so,
    and turn substituted allenes flat, which lie electronvolts higher.
    """
    from rdkit import Chem

    return Chem.MolFromSmarts("*~[#6]=[#6X2]=[#6]~*")


def placeholders(template: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(_PLACEHOLDER.findall(template))


def from_template(template: str, parameters: Mapping[str, Any]) -> System:
    """Fill a z-matrix or xyz template (angstrom, degrees) with `parameters`, by name only.

    A string value must be an element symbol. Raises InvalidCandidate for a missing or unknown parameter, or for a line
    that is neither a z-matrix nor an xyz line.
    """
    names = placeholders(template)
    if names != parameters.keys():
        raise InvalidCandidate(
            f"the geometry template needs the parameters {sorted(names)}; the candidate has {sorted(parameters)}"
        )
    text = _PLACEHOLDER.sub(lambda match: _text(match[1], parameters[match[1]]), template)
    lines = [line.split("#")[0].replace(",", " ").split() for line in re.split(r"[\n;]", text)]
    rows = [line for line in lines if line]
    if rows and len(rows[0]) == 1 and rows[0][0].isdigit():
        rows = rows[1:]  # an xyz file's count of atoms
    if not rows:
        raise InvalidCandidate("the geometry template holds no atom")
    symbols, positions = _from_xyz(rows) if len(rows[0]) == 4 else _from_zmatrix(rows)
    real = [i for i, symbol in enumerate(symbols) if symbol != "X"]  # X is a z-matrix's dummy atom
    return System(tuple(symbols[i] for i in real), ()).moved(positions[real])


def _text(name: str, value: Any) -> str:
    from ase.data import atomic_numbers

    if isinstance(value, str) and value in atomic_numbers:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidCandidate(f"parameter {name!r} is {value!r}; a geometry takes numbers and element symbols")
    return repr(value)


def _symbol(token: str) -> str:
    from ase.data import atomic_numbers

    symbol = token.strip("0123456789").capitalize()
    if symbol not in atomic_numbers:
        raise InvalidCandidate(f"the geometry template names {token!r}, which is no element")
    return symbol


def _from_xyz(rows: list[list[str]]) -> tuple[list[str], NDArray[np.float64]]:
    try:
        positions = np.array([[float(token) for token in row[1:]] for row in rows]).reshape(len(rows), 3)
    except ValueError as error:
        raise InvalidCandidate(f"the geometry template is no xyz text: {error}") from None
    return [_symbol(row[0]) for row in rows], positions


def _from_zmatrix(rows: list[list[str]]) -> tuple[list[str], NDArray[np.float64]]:
    from pyscf import gto

    clean = []
    for i, row in enumerate(rows):
        if len(row) != 1 + 2 * min(i, 3):
            raise InvalidCandidate(f"line {i + 1} of the z-matrix has {len(row)} entries, not {1 + 2 * min(i, 3)}")
        clean.append(" ".join([_symbol(row[0]), *_references(row[1:], i)]))
    try:
        # Every token is an int or a float that was parsed here: PySCF's own reader would evaluate code.
        atoms = gto.from_zmatrix("\n".join(clean))
    except (AssertionError, ValueError, IndexError, ZeroDivisionError) as error:
        raise InvalidCandidate(f"PySCF can't build the z-matrix: {error or 'an angle below zero'}") from None
    positions = np.array([position for _, position in atoms], dtype=np.float64)
    if not np.isfinite(positions).all():
        raise InvalidCandidate("the z-matrix is singular: three of its reference atoms lie on a line")
    return [_symbol(row[0]) for row in rows], positions


def _references(tokens: list[str], line: int) -> list[str]:
    """Pairs of (atom above, value), checked and written back as plain numbers."""
    clean = []
    for reference, value in zip(tokens[::2], tokens[1::2], strict=True):
        try:
            index, number = int(reference), float(value)
        except ValueError as error:
            raise InvalidCandidate(f"line {line + 1} of the z-matrix: {error}") from None
        if not 1 <= index <= line or not np.isfinite(number):
            raise InvalidCandidate(f"line {line + 1} of the z-matrix refers to atom {index}, which isn't above it")
        clean += [str(index), repr(number)]
    return clean


EnergyAndForces = Callable[[System], tuple[float, NDArray[np.float64]]]


def relaxed(system: System, surface: EnergyAndForces) -> System:
    """Relax `system` by ASE's BFGS on `surface` (eV, eV/angstrom) to `FORCE_TOLERANCE`, or raise NotConverged."""
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes
    from ase.optimize import BFGS

    class Surface(Calculator):  # type: ignore[misc]
        implemented_properties = ["energy", "forces"]  # noqa: RUF012 (ASE's own declaration)

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: list[str] = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            energy, forces = surface(system.moved(atoms.get_positions()))
            self.results = {"energy": energy, "forces": forces}

    atoms = Atoms(list(system.symbols), positions=system.coordinates, calculator=Surface())
    with BFGS(atoms, logfile=None) as optimizer:
        try:
            converged = optimizer.run(fmax=FORCE_TOLERANCE, steps=RELAXATION_STEPS)
        except np.linalg.LinAlgError as error:
            raise NotConverged(f"the geometry is not relaxed: BFGS lost its curvature ({error})") from None
        if not converged:
            force = float(np.abs(atoms.get_forces()).max())
            raise NotConverged(f"the geometry is not relaxed in {RELAXATION_STEPS} steps: {force:.3f} eV/angstrom left")
    return system.moved(atoms.get_positions())
