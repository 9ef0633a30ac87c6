"""Relaxed geometries on disk, and what follows from relaxing ions."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from theoros.oracles.cache_folder import trim
from theoros.oracles.chemistry import relaxation
from theoros.oracles.chemistry.bonds import Rearranged
from theoros.oracles.chemistry.geometry import System, from_smiles
from theoros.oracles.chemistry.oracle import PySCFOracle, XTBOracle
from theoros.oracles.chemistry.properties import values
from theoros.oracles.chemistry.relaxation import Relaxer, minimum, of_ion, shaken, symmetric
from theoros.oracles.failures import NotConverged

OXIDE = {"optimize": "oracle"}
LADDER = [
    {"name": "xtb", "method": "gfn2"},
    {"name": "hf", "method": "hf", "basis": "sto-3g", "optimize_geometry": "xtb"},
]
PAIR = System(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0)))


class Spring:
    """Two atoms on a spring of 0.8 angstrom; counts how often it is asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, system):
        self.calls += 1
        bond = system.coordinates[1] - system.coordinates[0]
        length = np.linalg.norm(bond)
        pull = 10.0 * (length - 0.8) * bond / length
        return 5.0 * (length - 0.8) ** 2, np.array([pull, -pull])


@pytest.fixture
def relaxations(monkeypatch):
    """The systems that were relaxed, not found."""
    seen = []
    real = relaxation.relaxed
    monkeypatch.setattr(relaxation, "relaxed", lambda start, surface: seen.append(start) or real(start, surface))
    return seen


def test_a_minimum_has_the_energy_of_where_it_ends():
    spring = Spring()
    found = minimum(PAIR, spring)
    assert found.energy == spring(found.system)[0]
    assert found.energy < 1e-4


def test_a_second_property_does_not_relax_again_in_another_oracle(molecule, relaxations):
    for outputs in (["energy"], ["dipole"], ["gap", "polarizability"]):
        XTBOracle(outputs=outputs, geometry=OXIDE).evaluate(molecule("CO"), "gfn2")
    PySCFOracle(fidelities=LADDER).evaluate(molecule("CO"), "hf")  # relaxed at the same level
    assert len(relaxations) == 1


def test_nor_does_it_in_another_process_and_it_gets_the_same_answer(molecule, relaxations, own_cache):
    code = (
        "from theoros.oracles.candidate import Candidate; from theoros.oracles.chemistry.oracle import XTBOracle;"
        "oracle = XTBOracle(geometry={'optimize': 'oracle'});"
        "print(repr(oracle.evaluate(Candidate('molecule', {'smiles': 'CO'}), 'gfn2').values['energy']))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = XTBOracle(geometry=OXIDE).evaluate(molecule("CO"), "gfn2").values["energy"]
    assert relaxations == []
    assert len(list((own_cache / "geometries").iterdir())) == 1
    assert float(elsewhere) == pytest.approx(here, abs=1e-9)


def test_another_theory_start_or_charge_relaxes_anew(molecule, relaxations):
    XTBOracle(geometry=OXIDE).evaluate(molecule("CO"), "gfn2")
    XTBOracle(fidelities=[{"method": "gfn1"}], geometry=OXIDE).evaluate(molecule("CO"), "gfn1")
    XTBOracle(fidelities=[{"method": "gfn2", "solvent": "water"}], geometry=OXIDE).evaluate(molecule("CO"), "gfn2")
    XTBOracle(geometry=OXIDE | {"conformers": 1, "seed": 1}).evaluate(molecule("CO"), "gfn2")
    XTBOracle(geometry=OXIDE, charge=1, spin=1).evaluate(molecule("CO"), "gfn2")
    assert [system.charge for system in relaxations] == [0, 0, 0, 0, 1, 1]  # the cation from its shaken end too


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: '{"energy": 1.0}',
        lambda text: text.replace('"energy": ', '"energy": NaN, "other": '),
        lambda text: json.dumps(json.loads(text) | {"positions": [[0.0, 0.0, 0.0]]}),
    ],
)
def test_a_damaged_file_is_made_again(own_cache, damage):
    first = Relaxer()(PAIR, {"method": "spring"}, Spring())
    (path,) = (own_cache / "geometries").iterdir()
    whole = path.read_text()
    path.write_text(damage(whole))
    spring = Spring()
    assert Relaxer()(PAIR, {"method": "spring"}, spring) == first
    assert spring.calls > 0
    assert path.read_text() == whole


def test_a_folder_that_cannot_be_written_costs_only_the_memory_of_other_processes(own_cache):
    own_cache.write_text("a file where the folder should be")
    relaxer, spring = Relaxer(), Spring()
    first = relaxer(PAIR, {"method": "spring"}, spring)
    calls = spring.calls
    assert relaxer(PAIR, {"method": "spring"}, spring) == first
    assert spring.calls == calls


def test_what_does_not_relax_is_not_kept(own_cache):
    def repulsion(system):
        bond = system.coordinates[1] - system.coordinates[0]
        push = 50.0 * bond / (bond @ bond)
        return -25.0 * np.log(bond @ bond), np.array([-push, push])

    with pytest.raises(NotConverged, match="not relaxed"):
        Relaxer()(PAIR, {"method": "repulsion"}, repulsion)
    assert not (own_cache / "geometries").exists()


@pytest.mark.parametrize("smiles", ["C=O", "C=CC=C", "CC#N"])
def test_a_relaxed_ion_lies_below_the_vertical_one(molecule, smiles):
    outputs = ["ionization_potential", "electron_affinity"]
    outputs += [f"adiabatic_{name}" for name in outputs]
    found = XTBOracle(outputs=outputs, geometry=OXIDE).evaluate(molecule(smiles), "gfn2").values
    assert found["adiabatic_ionization_potential"] <= found["ionization_potential"]
    assert found["adiabatic_electron_affinity"] >= found["electron_affinity"]


def test_hartree_fock_relaxes_ions_too_and_koopmans_lies_above_both(molecule):
    level = {"method": "hf", "basis": "sto-3g", "optimize_geometry": True}
    outputs = ["homo", "ionization_potential", "adiabatic_ionization_potential"]
    found = PySCFOracle(outputs=outputs, fidelities=[level]).evaluate(molecule("N"), "hf").values
    koopmans = -found["homo"]
    assert found["adiabatic_ionization_potential"] < found["ionization_potential"] < koopmans


def test_the_anion_of_a_linear_molecule_bends(molecule):
    # Bent to 135 degrees, as in the gas phase: Compton et al., doi:10.1063/1.430934. The linear one is a saddle point.
    oracle = XTBOracle(outputs=["adiabatic_electron_affinity"], geometry=OXIDE)
    affinity = oracle.evaluate(molecule("O=C=O"), "gfn2").values["adiabatic_electron_affinity"]
    assert affinity == pytest.approx(-1.99, abs=0.02)
    anion = XTBOracle(charge=-1, spin=1, geometry=OXIDE).evaluate(molecule("O=C=O"), "gfn2")
    first, carbon, second = np.array(anion.details["geometry"]["positions"])
    cosine = (first - carbon) @ (second - carbon) / np.linalg.norm(first - carbon) / np.linalg.norm(second - carbon)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(135, abs=3)


CHAIN = System(("O", "C", "O"), ((0.0, 0.0, -1.2), (0.0, 0.0, 0.0), (0.0, 0.0, 1.2)), -1, 1)


def double_well(system):
    """A chain whose middle atom has minima beside the line through the others, 0.4 eV below it."""
    x = system.coordinates[1, 0]
    forces = np.zeros((3, 3))
    forces[1, 0] = 6.4 * x - 25.6 * x**3
    return 6.4 * x**4 - 3.2 * x**2, forces


def test_of_two_ends_of_a_symmetric_ion_the_lower_one_counts():
    assert minimum(CHAIN, double_well).energy == 0
    assert of_ion(CHAIN, lambda start: minimum(start, double_well)).energy == pytest.approx(-0.4, abs=1e-3)


@pytest.mark.parametrize("failure", [Rearranged("broke"), NotConverged("never")])
def test_an_ion_whose_shaken_end_is_none_has_the_first_one(failure):
    def relax(start):
        if start != CHAIN:
            raise failure
        return minimum(start, double_well)

    assert of_ion(CHAIN, relax).energy == 0


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [("O=C=O", True), ("c1ccccc1", True), ("NC=O", True), ("C", True), ("CC(O)C(=O)NC", False), ("[H][H]", False)],
)
def test_symmetry_is_a_plane_or_like_surroundings(smiles, expected):
    assert symmetric(from_smiles(smiles, 1, True, 7)) == expected


def test_shaking_is_the_same_every_time_and_small(water):
    moves = shaken(water).coordinates - water.coordinates
    assert shaken(water) == shaken(water)
    assert 0.01 < np.abs(moves).max() < 0.2


def test_relaxed_ions_are_found_again(molecule, relaxations):
    for outputs in (["adiabatic_electron_affinity"], ["reduction_potential", "adiabatic_electron_affinity"]):
        levels = [{"method": "gfn2", "solvent": "acetonitrile"}]
        XTBOracle(outputs=outputs, fidelities=levels, geometry=OXIDE).evaluate(molecule("O=CC=O"), "gfn2")
    assert [system.charge for system in relaxations] == [0, -1, -1]  # the planar anion from its shaken end too


def test_quinones_are_reduced_in_the_order_of_experiment(molecule):
    # Volts against the SHE in acetonitrile, from SCE by +0.24: chloranil 0.26, benzoquinone -0.27, duroquinone -0.60.
    levels = [{"method": "gfn2", "solvent": "acetonitrile"}]
    oracle = XTBOracle(outputs=["reduction_potential", "electron_affinity"], fidelities=levels, geometry=OXIDE)
    chloranil, quinone, duroquinone = (
        oracle.evaluate(molecule(smiles), "gfn2").values
        for smiles in ("O=C1C(Cl)=C(Cl)C(=O)C(Cl)=C1Cl", "O=C1C=CC(=O)C=C1", "CC1=C(C)C(=O)C(C)=C(C)C1=O")
    )
    assert quinone["electron_affinity"] > 0
    assert quinone["reduction_potential"] == pytest.approx(-0.27, abs=0.3)
    assert chloranil["reduction_potential"] > quinone["reduction_potential"] > duroquinone["reduction_potential"]


@pytest.mark.parametrize(("method", "basis"), [("hf", "sto-3g"), ("gfn2", None)])
def test_the_potential_is_the_affinity_on_the_scale_of_the_hydrogen_electrode(calculate, level, water, method, basis):
    theory, outputs = level(method, basis), ["reduction_potential", "adiabatic_electron_affinity"]
    start = calculate(water, theory)
    found = values(outputs, water, start, lambda s: calculate(s, theory), relax=lambda ion: ion)
    assert found["reduction_potential"] == pytest.approx(found["adiabatic_electron_affinity"] - 4.28)


def filled(folder, ages):
    """A file of 4,000 bytes for each name, last used so many seconds ago."""
    folder.mkdir(parents=True)
    for name, age in ages.items():
        (folder / name).write_bytes(b"x" * 4000)
        os.utime(folder / name, (time.time() - age,) * 2)
    return folder


def test_beyond_a_limit_what_was_used_longest_ago_is_removed(tmp_path):
    folder = filled(tmp_path / "f", {str(age): age for age in range(100, 110)})
    trim(folder, 10 * 4096)
    assert len(list(folder.iterdir())) == 10, "a full folder is left alone"
    trim(folder, 8 * 4096)
    assert sorted(path.name for path in folder.iterdir()) == [str(age) for age in range(100, 107)]


def test_a_geometry_that_was_read_is_not_the_oldest_any_more(own_cache, monkeypatch):
    monkeypatch.setattr(relaxation, "LIMIT", 3 * 4096)
    monkeypatch.setattr(relaxation, "_LOOKED_AT", 1)
    relaxer, names = Relaxer(), ["a", "b", "c"]
    for name in names:
        relaxer(PAIR, {"method": name}, Spring())
    paths = sorted((own_cache / "geometries").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for age, path in zip((300, 200, 100), paths, strict=True):
        os.utime(path, (time.time() - age,) * 2)
    Relaxer()(PAIR, {"method": "a"}, Spring())  # from the disk, in another process's stead
    relaxer(PAIR, {"method": "d"}, Spring())
    left = set((own_cache / "geometries").iterdir())
    assert paths[0] in left
    assert not {paths[1], paths[2]} & left


def test_a_folder_may_vanish_or_be_trimmed_by_another_process_meanwhile(tmp_path, monkeypatch):
    trim(tmp_path / "missing", 0)
    folder = filled(tmp_path / "f", {"old": 9, "middle": 8, "new": 7})
    real = Path.unlink

    def twice(path):
        real(path)
        real(path)

    monkeypatch.setattr(Path, "unlink", twice)
    trim(folder, 2 * 4096)
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_many_processes_that_trim_at_once_keep_what_was_used_last(tmp_path):
    folder = filled(tmp_path / "f", {f"{age:03}": age for age in range(200)})
    code = (
        f"from pathlib import Path; from theoros.oracles.cache_folder import trim; trim(Path({str(folder)!r}), 409600)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    left = sorted(path.name for path in folder.iterdir())
    assert left == [f"{age:03}" for age in range(len(left))]
    assert 0 < len(left) <= 90
