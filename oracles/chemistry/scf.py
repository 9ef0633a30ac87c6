"""Self-consistent fields by PySCF that try three times, and the properties of what converged."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from theoros.oracles.chemistry import response
from theoros.oracles.chemistry.excitations import Excitation, first_excitation
from theoros.oracles.chemistry.geometry import System
from theoros.oracles.chemistry.levels import Level
from theoros.oracles.chemistry.names import NoCore, has_exact_exchange, pseudopotential
from theoros.oracles.chemistry.solvents import Solvent
from theoros.oracles.chemistry.stability import downhill
from theoros.oracles.chemistry.units import BOHR, CUBIC_BOHR, DEBYE, FORCE_AU, HARTREE
from theoros.oracles.failures import BadAnswer, InvalidCandidate, MissingDependency, NotConverged

if TYPE_CHECKING:
    from theoros.oracles.chemistry.cavity import SlowCharges

#: Hartree by which a converged energy must lie above that of another cycle to be called another state's: a coarse grid
#: splits by a tenth of it what symmetry makes equal.
EXCITED = 1e-3
#: How often second-order steps go on from a saddle point.
DESCENTS = 5


@dataclass(frozen=True)
class Machine:
    """What a calculation may use: memory in MB, and whether the SCF runs on a GPU."""

    memory_mb: float = 4000.0
    gpu: bool = False


def check_gpu() -> None:
    """Raise MissingDependency unless gpu4pyscf is installed."""
    if importlib.util.find_spec("gpu4pyscf") is None:
        raise MissingDependency(
            "PySCF was given a GPU (resources.num_gpus > 0), and gpu4pyscf is not installed. "
            "Run: pip install 'theoros[gpu]', or set num_gpus: 0"
        )


def check_dispersion() -> None:
    """Raise MissingDependency unless pyscf-dispersion is installed."""
    if importlib.util.find_spec("pyscf.dispersion") is None:
        raise MissingDependency(
            "a level has dispersion, which PySCF gets from pyscf-dispersion, and that is not installed. "
            "Run: pip install pyscf-dispersion"
        )


def molecule(system: System, basis: str, machine: Machine) -> Any:
    """PySCF's molecule of `system`, with the pseudopotentials that its basis is made for.

    Raises InvalidCandidate for an element that the basis lacks, or has no core or pseudopotential for.
    """
    from pyscf import gto

    atoms = list(zip(system.symbols, system.positions, strict=True))
    mol = gto.Mole()
    try:
        found = {symbol: pseudopotential(basis, symbol) for symbol in sorted(set(system.symbols))}
        ecp = {symbol: name for symbol, name in found.items() if name}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice to install more basis sets
            mol.build(
                atom=atoms, basis=basis, ecp=ecp, charge=system.charge, spin=system.spin, unit="Angstrom",
                max_memory=machine.memory_mb, verbose=0, dump_input=False, parse_arg=False,
            )  # fmt: skip
    except gto.basis.BasisNotFoundError as error:
        raise InvalidCandidate(f"basis {basis!r} lacks an element of {sorted(set(system.symbols))}: {error}") from None
    except NoCore as error:
        raise InvalidCandidate(f"{error}; choose another basis") from None
    return mol


def mean_field(
    system: System,
    level: Level,
    machine: Machine,
    field: NDArray[np.float64] | None = None,
    like: Any = None,
    slow: SlowCharges | None = None,
) -> Any:
    """PySCF's unsolved mean field of `level`: unrestricted where electrons are unpaired.

    `field` (atomic units, shape (3,)) is a uniform electric field F: the electrons' part +F.r goes into the core
    Hamiltonian, the nuclei's part is left to the caller (`nuclear_field_energy`). `like` is a mean field of the same
    nuclei at the same level, on a CPU: what doesn't depend on the electrons' number is taken from it. `slow`
    is what the solvent keeps from another state (then on a CPU). Raises InvalidCandidate for electrons that the basis
    has no room for.
    """
    from pyscf import dft, scf

    mol = molecule(system, str(level.basis), machine)
    if max(mol.nelec) > mol.nao:
        raise InvalidCandidate(f"{level.basis} has {mol.nao} orbitals, too few for {mol.nelec} electrons of each spin")
    restricted = system.spin == 0
    if level.is_dft:
        mf = dft.RKS(mol, xc=level.functional) if restricted else dft.UKS(mol, xc=level.functional)
        mf.grids.level = level.grid_level
        if like is not None:
            mf.grids = like.grids
    else:
        mf = scf.RHF(mol) if restricted else scf.UHF(mol)
    mf.conv_tol, mf.max_cycle, mf.chkfile = level.conv_tol, level.max_cycle, None
    if level.dispersion:
        mf.disp = level.dispersion
    if level.density_fit:
        mf = mf.density_fit(auxbasis=_fitting_basis(mol, level))
        if like is not None:
            mf.with_df = like.with_df
        elif not machine.gpu:
            mf.with_df.build()  # else PySCF computes the integrals of a pure functional anew in every cycle
    if level.solvent:
        mf = _solvated(mf, level, machine, like, slow)
    if field is not None:
        core = mf.get_hcore() + np.einsum("x,xpq->pq", field, mol.intor_symmetric("int1e_r", comp=3))
        mf.get_hcore = lambda *_: core
    return mf.to_gpu() if machine.gpu else mf


def _solvated(mf: Any, level: Level, machine: Machine, like: Any, slow: SlowCharges | None) -> Any:
    """The mean field in the level's solvent; gpu4pyscf has a C-PCM of its own."""
    from theoros.oracles.chemistry.cavity import ORDERS, StoredPCM  # it imports PySCF

    assert level.solvent is not None
    mf = (
        mf.PCM() if machine.gpu else mf.PCM(StoredPCM(mf.mol, None if like is None else like.with_solvent.cavity, slow))
    )
    mf.with_solvent.method, mf.with_solvent.eps = "C-PCM", _dielectric(level.solvent, slow)
    mf.with_solvent.lebedev_order, mf.with_solvent.max_memory = ORDERS[level.cavity_points], machine.memory_mb
    mf.with_solvent.equilibrium_solvation = True  # the static response is the whole solvent's; TDA sets its own
    return mf


def _dielectric(solvent: Solvent, slow: SlowCharges | None) -> float:
    """What answers the molecule: beside charges that stay, the solvent's electrons alone."""
    return solvent.dielectric if slow is None else float(solvent.refractive_index or 1.0) ** 2


def _fitting_basis(mol: Any, level: Level) -> Any:
    """Weigend's universal fitting sets for the def2 family, which PySCF lacks for its diffuse members; else its choice.

    Where electrons are correlated, functions for MP2's products are added. Neither set is enough alone for all of them:
    MP2 of water and HCl in def2-svp to cc-pvtz is wrong by up to 4 meV per atom with the mean field's, by 1 with MP2's,
    and by 0.2 with both.

    Sources: doi:10.1039/b515623h (for Coulomb terms alone), doi:10.1002/jcc.20702 (for exchange too), and for MP2
    doi:10.1016/S0009-2614(98)00862-8.
    """
    from pyscf import df

    name = None
    if str(level.basis).startswith(("def2", "ma-def2")):
        exchange = has_exact_exchange(level.functional) or level.is_correlated
        name = "def2-universal-jkfit" if exchange else "def2-universal-jfit"
    if not level.is_correlated:
        return name
    mean_field = df.make_auxmol(mol, name or df.make_auxbasis(mol))._basis
    second_order = df.make_auxmol(mol, df.make_auxbasis(mol, mp2fit=True))._basis
    return {
        symbol: shells + [shell for shell in second_order[symbol] if shell not in shells]
        for symbol, shells in mean_field.items()
    }


def nuclear_field_energy(mol: Any, field: NDArray[np.float64]) -> float:
    """Energy (hartree) of PySCF's nuclei, without pseudopotentials' cores, in the field F (a.u.): -F . sum of Z R."""
    return -float(field @ (mol.atom_charges() @ mol.atom_coords()))


def filled(like: Any, alpha: int, beta: int) -> NDArray[np.float64]:
    """Density matrices (2, nao, nao) of so many electrons of each spin in a solved mean field's lowest orbitals."""
    orbitals = like.mo_coeff if np.ndim(like.mo_occ) == 2 else (like.mo_coeff, like.mo_coeff)
    return np.stack([c[:, :n] @ c[:, :n].T for c, n in zip(orbitals, (alpha, beta), strict=True)])


class _Watch:
    """Sees every cycle of an SCF: how much the energy changed last, and the lowest determinant there was."""

    def __init__(self) -> None:
        self.change = self.energy = float("nan")
        self.orbitals: tuple[Any, Any] | None = None

    def __call__(self, cycle: dict[str, Any]) -> None:
        """PySCF's callback, given the local variables of its loop."""
        energy = float(cycle.get("e_tot", np.nan))
        self.change = energy - float(cycle.get("last_hf_e", np.nan))
        if np.isfinite(energy) and not energy >= self.energy:
            self.energy, self.orbitals = energy, (cycle["mo_coeff"], cycle["mo_occ"])

    def beats(self, mf: Any) -> bool:
        """Whether a determinant lies below what `mf` converged to, which is then an excited state or a saddle point."""
        return bool(self.energy < float(mf.e_tot) - EXCITED)


def solve(mf: Any, machine: Machine, start: NDArray[np.float64] | None = None) -> Any:
    """Converge `mf`, in up to three tries: as it is, from the density matrix `start` if there is one; damped, with a
    level shift; by second-order (Newton) steps from the lowest determinant seen.

    The energy is variational: each cycle's is an upper bound of the ground state's, so that a try which converges above
    the lowest of all cycles has found another state and doesn't count. From a saddle point the search goes on down;
    saddle points are looked for in unrestricted and Hartree-Fock solutions, and after second-order steps. A mean field
    on a GPU takes its first try there and comes back to the CPU, where everything else is done. Returns the converged
    mean field. Raises NotConverged with the cycles and what the last try came to. The second-order solver is Sun's
    co-iterative augmented Hessian, arXiv:1610.08423.
    """
    cycles, watch, on_gpu = 0, _Watch(), machine.gpu
    last = partial(_second_order, watch=watch)
    for attempt in (partial(_plain, start=start), _damped, last):
        mf.callback = watch
        with contextlib.suppress(np.linalg.LinAlgError):  # a wild cycle's matrix: the next try may do better
            attempt(mf)
        if on_gpu:
            mf, on_gpu = mf.to_cpu(), False
            watch.orbitals = None  # they are the GPU's arrays
        cycles += int(getattr(mf, "cycles", 0) or 0)
        if attempt is last or _may_be_unstable(mf):
            _descend(mf, watch)
        if mf.converged and not watch.beats(mf):
            mf.theoros_cycles = cycles
            return mf
    end = (
        f"it ended {float(mf.e_tot) - watch.energy:.1e} hartree above a state that it had seen"
        if mf.converged
        else f"the energy still changed by {watch.change:.1e} hartree"
    )
    raise NotConverged(
        f"the SCF did not converge in {cycles} cycles, damping, level shift and second-order steps "
        f"included; {end}. Raise max_cycle, or choose another method or basis"
    )


def _plain(mf: Any, start: NDArray[np.float64] | None) -> None:
    mf.kernel(start)


def _damped(mf: Any) -> None:
    with _settings(mf, level_shift=0.3, damp=0.3, max_cycle=2 * mf.max_cycle):
        mf.kernel()  # from a fresh guess: the first try's end is often a wrong state


def _second_order(mf: Any, watch: _Watch) -> None:
    _newton(mf, watch, *(watch.orbitals or (mf.mo_coeff, mf.mo_occ)))


def _newton(mf: Any, watch: _Watch, orbitals: Any, occupations: Any) -> None:
    newton = mf.newton()
    newton.callback = watch
    newton.kernel(orbitals, occupations)
    for name in ("converged", "e_tot", "mo_coeff", "mo_occ", "mo_energy", "cycles"):
        setattr(mf, name, getattr(newton, name))


def _may_be_unstable(mf: Any) -> bool:
    """Whether saddle points are common: for closed shells of functionals, most of all calculations, they aren't."""
    return np.ndim(mf.mo_occ) == 2 or not hasattr(mf, "xc")


def _descend(mf: Any, watch: _Watch) -> None:
    """Go on by second-order steps from a converged saddle point, until there is no way down."""
    for _ in range(DESCENTS):
        if not mf.converged or (orbitals := downhill(mf)) is None:
            return
        _newton(mf, watch, orbitals, mf.mo_occ)


@contextlib.contextmanager
def _settings(mf: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(mf, name) for name in values}
    for name, value in values.items():
        setattr(mf, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(mf, name, value)


class MeanFieldCalculation:
    """Properties of one system at a Hartree-Fock or density-functional level; one SCF serves them all."""

    electron_offset: float = 0.0

    def __init__(
        self, system: System, level: Level, machine: Machine, like: Any = None, slow: SlowCharges | None = None
    ) -> None:
        self.system, self.level, self.machine, self._like, self._slow = system, level, machine, like, slow

    @cached_property
    def solved(self) -> Any:
        """The converged PySCF mean field."""
        if self._like is None:
            return solve(mean_field(self.system, self.level, self.machine, slow=self._slow), self.machine)
        begun = self._begun(own_guess=False)
        if hasattr(begun, "xc"):
            return begun
        # In Hartree-Fock orbitals relax so much that an ion's order may be another; a guess of its own finds that.
        with contextlib.suppress(NotConverged):
            return min(begun, self._begun(own_guess=True), key=lambda mf: float(mf.e_tot))
        return begun

    def _begun(self, *, own_guess: bool) -> Any:
        """Converged from PySCF's guess, or from the orbitals of the mean field that this one is like."""
        mf = mean_field(self.system, self.level, self.machine, like=self._like, slow=self._slow)
        if own_guess:
            return solve(mf, self.machine)
        spins = filled(self._like, *mf.mol.nelec)
        return solve(mf, self.machine, spins if self.system.spin else spins.sum(axis=0))

    def of(self, system: System) -> Self:
        """The calculation of the same nuclei with other electrons, which begins with this one's orbitals.

        Fitted integrals, grid and cavity are shared. In a solvent only its electrons follow: the rest of its
        polarisation stays this state's. That part is ours, so that it is computed on the CPU.
        """
        slow, machine = None, self.machine
        if (solvent := self.level.solvent) is not None:
            if solvent.refractive_index is None:
                raise ValueError("a vertical change in a solvent needs its refractive_index")
            machine = replace(machine, gpu=False)
            from theoros.oracles.chemistry.cavity import slow_charges

            points, optical = self.level.cavity_points, solvent.refractive_index**2
            slow = slow_charges(self.solved, points, machine.memory_mb, optical)
        return type(self)(system, self.level, machine, None if self.machine.gpu else self.solved, slow)

    def energy(self) -> float:
        """Total energy in eV."""
        return float(self.solved.e_tot) * HARTREE

    def dipole(self) -> NDArray[np.float64]:
        """Dipole in debye, shape (3,); an ion's is about its centre of nuclear charge."""
        vector = np.asarray(self.solved.dip_moment(unit="AU", verbose=0), dtype=np.float64)
        return about_nuclei(self.system, vector) * DEBYE

    def frontier(self) -> tuple[float, float]:
        """HOMO and LUMO energies in eV: the highest and lowest of both spins."""
        energies, occupations = np.ravel(self.solved.mo_energy), np.ravel(self.solved.mo_occ)
        if not (occupations == 0).any():
            raise BadAnswer(f"{self.level.label} has no empty orbital for this molecule; use a larger basis")
        return float(energies[occupations > 0].max()) * HARTREE, float(energies[occupations == 0].min()) * HARTREE

    def polarizability(self) -> NDArray[np.float64]:
        """Static polarizability in angstrom^3, shape (3, 3), by coupled-perturbed equations."""
        return response.polarizability(self.solved, self.level.response_tol) * CUBIC_BOHR

    @cached_property
    def singlet(self) -> Excitation:
        """The first singlet excitation."""
        return first_excitation(self.solved, singlet=True, solvent=self.level.solvent)

    @cached_property
    def triplet(self) -> Excitation:
        """The first triplet excitation."""
        return first_excitation(self.solved, singlet=False, solvent=self.level.solvent)

    def forces(self) -> NDArray[np.float64]:
        """Forces in eV/angstrom, shape (atoms, 3), by analytic gradients."""
        gradient = self.solved.nuc_grad_method()
        gradient.verbose = 0
        return -np.asarray(gradient.kernel(), dtype=np.float64) * FORCE_AU

    def report(self) -> dict[str, Any]:
        """JSON data about how it went."""
        import pyscf

        return {
            "program": f"PySCF {pyscf.__version__}",
            "scf_energy_hartree": float(self.solved.e_tot),
            "scf_cycles": int(self.solved.theoros_cycles),
            "basis_functions": int(self.solved.mol.nao),
            **({"spin_square": float(self.solved.spin_square()[0])} if self.system.spin else {}),
        }


def about_nuclei(system: System, dipole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move a dipole (a.u.) of charge Q from the origin to the centre of nuclear charge; neutral ones don't change."""
    centre = system.numbers @ system.coordinates / system.numbers.sum() / BOHR
    return np.asarray(dipole - system.charge * centre)
