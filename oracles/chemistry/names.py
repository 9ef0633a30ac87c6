"""Names that PySCF knows: basis sets and density functionals, with a suggestion for one that it doesn't."""

from __future__ import annotations

import contextlib
import difflib
import re
import warnings
from functools import cache
from pathlib import PurePosixPath

import numpy as np

from theoros.oracles.chemistry.double_hybrids import DOUBLE_HYBRIDS

_BASIS_NAME = re.compile(r"[A-Za-z0-9+*(),_ -]+")
_XC_TEXT = re.compile(r"[A-Za-z0-9_+*.,:() -]+")

#: A functional's name that ends in a dispersion correction, alone or in a sum: ``b3lyp-d3bj``, ``b97_d``.
_DISPERSION = re.compile(r"[-_](d|d2|d3[a-z0-9]*|d4[a-z0-9]*|3c)(?=$|[,+*)( ])", re.IGNORECASE)

#: Flat names of sets that fit densities or potentials instead of holding electrons, and of those made for
#: pseudopotentials that PySCF keeps under another name, or that are periodic programs' (GTH).
_FITTING = re.compile(r".*(fit|ri)|sap.*|weigend(\+etb)?|demon|ahlrichs")
_PSEUDOPOTENTIAL = re.compile(r"bfd.*|ccecp.*|.*gth.*")
#: An all-electron set has s functions at least this steep, in units of the squared nuclear charge (1/bohr^2): the
#: flattest, STO-3G, reaches 1.6, and def2-mtzvp's lanthanum, made for a potential, 0.002.
_CORE = 1.0


class NoCore(ValueError):
    """A valence basis without the pseudopotential that it is made for."""


def check_basis(name: str) -> None:
    """Raise ValueError with close matches unless PySCF has a basis set called `name` for hydrogen or carbon.

    Only names are looked up, never files: PySCF itself would also read a path. Sets that fit densities are refused, and
    those of pseudopotentials which PySCF doesn't find by the basis' name: all electrons would be put into them.
    """
    flat = _flat(name).replace(" ", "")
    if _FITTING.fullmatch(flat):
        raise ValueError(f"{name!r} fits densities and can't hold electrons; use an orbital basis, such as def2-svp")
    if _PSEUDOPOTENTIAL.fullmatch(flat):
        raise ValueError(
            f"{name!r} is made for pseudopotentials, which this oracle doesn't find for it; use for example def2-svp, "
            f"lanl2dz, sbkjc or crenbl, which come with theirs"
        )
    if not _BASIS_NAME.fullmatch(name) or not _basis_exists(name):
        raise ValueError(f"PySCF has no basis {name!r}.{_suggestion(name, _basis_names())}")


def check_xc(name: str) -> None:
    """Raise ValueError with close matches unless libxc, as PySCF reads it, knows the functional `name`.

    Refused are double hybrids, whose perturbative part PySCF would silently leave out (`double_hybrids` has some);
    names with a dispersion correction, which it would leave out (``b97-d``) or fail at (``wb97x-d``); and names whose
    hyphen it takes for a minus (``scan-vv10``).
    """
    from pyscf.dft import libxc

    if found := _DISPERSION.search(name):
        raise ValueError(
            f"{name!r} names the dispersion correction {found[1]!r}, an option of its own. Name the functional "
            "without it and add dispersion: d3bj, d3zero or d4; or use one that has its own, such as wb97x-v."
        )

    if _is_double_hybrid(name):
        raise ValueError(
            f"{name!r} is a double hybrid, whose MP2 part this oracle doesn't add. "
            f"Those which it has are {', '.join(DOUBLE_HYBRIDS)}."
        )
    try:
        if not _XC_TEXT.fullmatch(name):
            raise KeyError(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, terms = libxc.parse_xc(name)
            known = bool(terms) or libxc.is_hybrid_xc(name)
            subtracted = "-" in name and "*" not in name and any(factor < 0 for _, factor in terms)
    except (KeyError, ValueError, IndexError):
        known = subtracted = False
    if subtracted:
        raise ValueError(f"PySCF reads {name!r} as a difference of functionals. Write '_' for '-', or the factor: 1*.")
    if not known:
        raise ValueError(f"PySCF has no functional {name!r}.{_suggestion(name, _xc_names())}")


def includes_dispersion(method: str) -> bool:
    """True for a functional to which PySCF adds a dispersion correction unasked, as it was fitted with one: CF22D."""
    from pyscf.scf import dispersion

    return dispersion.parse_disp(method)[1] is not None


def has_exact_exchange(method: str) -> bool:
    """True for Hartree-Fock and hybrid functionals."""
    from pyscf.dft import libxc

    return bool(libxc.is_hybrid_xc(method))


@cache
def pseudopotential(basis: str, symbol: str) -> str | None:
    """The basis set of PySCF whose effective core potential goes with `basis` on an element; None for all electrons.

    Raises NoCore where `basis` has no functions for an element's core and PySCF no potential in its place. The def2
    family shares one set of potentials, which PySCF lacks for some of its members.
    """
    from pyscf import gto
    from pyscf.data import elements

    family: tuple[str, ...] = ("def2-svp",) if _flat(basis).startswith(("def2", "madef2")) else ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to install more of them
        for name in (basis, *family):
            # PySCF answers an unknown name or element with errors of several classes.
            with contextlib.suppress(Exception):
                if gto.basis.load_ecp(name, symbol):
                    return name
        shells = gto.basis.load(basis, symbol)
    charge = elements.charge(symbol)
    spherical = (shell[1:] for shell in shells if shell[0] == 0)
    steepest = max((primitive[0] for shell in spherical for primitive in shell if np.ndim(primitive)), default=0.0)
    # def2's functions for heavy elements with 28 electrons replaced are as steep as a small set's core.
    if (family and charge > 36) or (charge > 2 and steepest < _CORE * charge**2):
        raise NoCore(f"basis {basis!r} holds no core electrons of {symbol}, and PySCF has no pseudopotential for it")
    return None


def count_functions(basis: str, symbol: str) -> int:
    """Number of spherical basis functions that `basis` puts on one atom; 0 where it has none."""
    from pyscf import gto

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shells = gto.basis.load(basis, symbol)
    except Exception:
        return 0
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in shells)


def _is_double_hybrid(name: str) -> bool:
    flat = name.lower().replace("-", "").replace("_", "")
    return any(
        word in flat
        for word in ("2plyp", "2gpplyp", "xyg", "dsdp", "dsdb", "pbe0dh", "pbeqidh", "pwpb95", "wb97x2", "wb97m2")
    )


def _basis_exists(name: str) -> bool:
    return any(count_functions(name, symbol) for symbol in ("H", "C"))


@cache
def _basis_names() -> tuple[str, ...]:
    """PySCF's basis names as people write them (``def2-svp``, not its internal ``def2svp``)."""
    from pyscf.gto.basis import ALIAS

    names = []
    for key, source in ALIAS.items():
        stem = PurePosixPath(source).stem if isinstance(source, str) else key
        names.append(stem if _flat(stem) == key else key)
    return tuple(names)


@cache
def _xc_names() -> tuple[str, ...]:
    from pyscf.dft import libxc

    names = {str(name).lower() for name in (*libxc.XC_ALIAS, *libxc.XC_CODES)}
    return tuple(sorted(name for name in names if not name.isdigit()))


def _flat(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _suggestion(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""
