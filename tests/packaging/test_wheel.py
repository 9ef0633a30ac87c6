"""The wheel holds every module of the tree: explicit package lists forget new folders."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"db", "models", "oracles", "orchestrator", "workers"}


def modules_of_the_tree() -> set[str]:
    names = {"theoros/__init__.py", "theoros/py.typed"}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in {".py", ".smi", ".mako"} and "__pycache__" not in path.parts:
                names.add(f"theoros/{path.relative_to(ROOT)}")
    return names


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A virtual environment with nothing but the wheel in it; returns its site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            ROOT,
        ],
        check=True,
    )
    (wheel,) = folder.glob("theoros-*.whl")
    venv.create(folder / "venv", with_pip=True)
    subprocess.run([folder / "venv/bin/pip", "install", "--quiet", "--no-deps", wheel], check=True)
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    return site


def test_the_installed_wheel_has_the_same_modules_as_the_tree(installed):
    found = {str(p.relative_to(installed)) for p in (installed / "theoros").rglob("*") if p.is_file()}
    missing = modules_of_the_tree() - found
    assert not missing, f"add their packages or data to pyproject.toml: {sorted(missing)}"


def test_nothing_is_installed_outside_the_one_name(installed):
    """A wheel with a top-level `db` or `models` would collide with its users' own."""
    top = {
        p.name for p in installed.iterdir() if not p.name.startswith(("_", "pip", "setuptools", "distutils", "pkg_"))
    }
    assert {name for name in top if not name.endswith(".dist-info")} == {"theoros"}


def test_the_console_script_is_there(installed):
    assert (installed.parents[2] / "bin" / "theoros").exists()
