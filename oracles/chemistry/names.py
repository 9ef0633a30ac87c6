"""Names that PySCF knows: basis sets and density functionals, with a suggestion for one that it doesn't."""

from __future__ import annotations

import difflib
import re
import warnings
from functools import cache
from pathlib import PurePosixPath

from theoros.oracles.chemistry.double_hybrids import DOUBLE_HYBRIDS

_BASIS_NAME = re.compile(r"[A-Za-z0-9+*(),_ -]+")
_XC_TEXT = re.compile(r"[A-Za-z0-9_+*.,:() -]+")


def check_basis(name: str) -> None:
    """Raise ValueError with close matches unless PySCF has a basis set called `name` for hydrogen or carbon.

    Only names are looked up, never files: PySCF itself would also read a path.
    """
    if not _BASIS_NAME.fullmatch(name) or not _basis_exists(name):
        raise ValueError(f"PySCF has no basis {name!r}.{_suggestion(name, _basis_names())}")


def check_xc(name: str) -> None:
    """Raise ValueError with close matches unless libxc, as PySCF reads it, knows the functional `name`.

    Double hybrids are refused: PySCF would silently leave their perturbative part out. `double_hybrids` has some.
    """
    from pyscf.dft import libxc

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
    except (KeyError, ValueError, IndexError):
        known = False
    if not known:
        raise ValueError(f"PySCF has no functional {name!r}.{_suggestion(name, _xc_names())}")


def has_exact_exchange(method: str) -> bool:
    """True for Hartree-Fock and hybrid functionals."""
    from pyscf.dft import libxc

    return bool(libxc.is_hybrid_xc(method))


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
    return any(word in flat for word in ("2plyp", "2gpplyp", "xyg", "dsdp", "dsdb", "pbe0dh", "pbeqidh", "pwpb95"))


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
