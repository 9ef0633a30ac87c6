"""Importing a specification costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "pyscf", "rdkit", "botorch", "pandas", "matplotlib", "scipy", "pyarrow", "ase", "pint")

MODULES = (
    "theoros.oracles",
    "theoros.oracles.spaces",
    "theoros.oracles.spaces.molecule_properties",
    "theoros.oracles.registry",
    "theoros.oracles.reference",
    "theoros.oracles.check",
    "theoros.oracles.synthetic",
    "theoros.oracles.lookup",
    "theoros.oracles.command",
)


@pytest.mark.parametrize("module", MODULES)
def test_importing_it_imports_nothing_heavy(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_listing_oracles_imports_none_of_them():
    code = (
        "import sys; from theoros.oracles.registry import available; available(); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
