"""The oracle as a campaign sees it."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from theoros.oracles.candidate import Candidate
from theoros.oracles.chemistry import geometry, tblite_backend
from theoros.oracles.chemistry.oracle import PySCFOracle, XTBOracle
from theoros.oracles.chemistry.properties import ADIABATIC, COMPARED, EXCITED, OUTPUTS, MissingOutput
from theoros.oracles.contract import Oracle, cache_key, checked_values
from theoros.oracles.failures import InvalidCandidate, MissingDependency, NotConverged
from theoros.oracles.reference import OracleReference
from theoros.oracles.spaces import Molecules, Parameters, Real

LADDER = [
    {"name": "xtb", "method": "gfn2"},
    {"name": "hf", "method": "hf", "basis": "sto-3g"},
    {"name": "dft", "method": "pbe", "basis": "def2-svp", "density_fit": True, "grid_level": 0, "conv_tol": 1e-7},
]
ZMATRIX = "O\nH 1 {r}\nH 1 {r} 2 {angle}"


def water_scan(**options):
    space = Parameters(r=Real(0.7, 1.4), angle=Real(80, 140))
    levels = {"fidelities": [{"method": "hf", "basis": "sto-3g"}]}
    return PySCFOracle(space=space, geometry={"template": ZMATRIX}, **(levels | options))


def test_every_level_of_a_ladder_gives_every_output_of_the_ground_state_in_its_declared_shape(molecule):
    outputs = [name for name in OUTPUTS if name not in EXCITED | ADIABATIC | COMPARED]
    oracle = PySCFOracle(outputs=outputs, fidelities=LADDER)
    for fidelity in oracle.fidelities:
        answer = oracle.evaluate(molecule("CO"), fidelity.name)
        assert list(checked_values(oracle.outputs, answer)) == outputs


def test_a_hartree_fock_level_in_a_solvent_gives_every_output_of_an_unrelaxed_molecule(molecule):
    outputs = [name for name in OUTPUTS if name not in ADIABATIC | COMPARED]
    oracle = PySCFOracle(outputs=outputs, fidelities=[{"method": "hf", "basis": "sto-3g", "solvent": "water"}])
    answer = oracle.evaluate(molecule("N#N"), "hf")
    assert list(checked_values(oracle.outputs, answer)) == outputs
    assert answer.values["s1_t1_gap"] == pytest.approx(
        answer.values["excitation_energy"] - answer.values["triplet_excitation_energy"]
    )


def test_both_are_oracles():
    assert isinstance(PySCFOracle(fidelities=LADDER), Oracle)
    assert isinstance(XTBOracle(), Oracle)


def test_a_campaign_gives_both_its_space_outputs_and_resources():
    space = Molecules(elements=("C", "O"), heavy_atoms=(2, 4))
    for name, options in (("pyscf", {"fidelities": LADDER}), ("xtb", {})):
        given = options | {"resources": {"num_cpus": 2}}
        oracle = OracleReference(name, given, space.to_dict(), outputs=("gap", "dipole")).load()
        assert list(oracle.outputs) == ["gap", "dipole"]
        assert oracle.space == space
        assert oracle.resources.num_cpus == oracle.options.resources.num_cpus == 2


def test_both_have_the_same_options():
    own, general = (inspect.signature(oracle).parameters for oracle in (XTBOracle, PySCFOracle))
    assert list(own) == list(general)


def test_the_gap_of_a_correlated_level_is_its_references_and_says_so(molecule):
    levels = [{"name": name, "method": name, "basis": "sto-3g"} for name in ("hf", "mp2", "ccsd(t)")]
    oracle = PySCFOracle(outputs=["gap", "ionization_potential"], fidelities=levels)
    answers = [oracle.evaluate(molecule("O"), level.name).values for level in oracle.fidelities]
    assert [answer["gap"] for answer in answers] == pytest.approx([answers[0]["gap"]] * 3)
    assert len({round(answer["ionization_potential"], 3) for answer in answers}) == 3
    assert "Hartree-Fock's orbitals" in oracle.outputs["gap"].description


def test_the_ladder_agrees_that_thiophene_is_more_polarizable_than_furan(molecule):
    oracle = PySCFOracle(outputs=["polarizability_per_heavy_atom"], fidelities=LADDER)
    for fidelity in oracle.fidelities:
        sulfur, oxygen = (
            oracle.evaluate(molecule(smiles), fidelity.name).values["polarizability_per_heavy_atom"]
            for smiles in ("c1ccsc1", "c1ccoc1")
        )
        assert sulfur > oxygen


def test_costs_rise_along_the_ladder_and_end_at_one():
    costs = [fidelity.cost for fidelity in PySCFOracle(fidelities=LADDER).fidelities]
    assert costs == sorted(costs)
    assert costs[-1] == 1.0
    assert costs[0] < 0.1


def test_a_users_own_costs_are_kept():
    levels = [LADDER[0] | {"cost": 0.25}, LADDER[2]]
    assert [fidelity.cost for fidelity in PySCFOracle(fidelities=levels).fidelities] == [0.25, 1.0]


def test_an_answer_repeats_exactly(molecule):
    first, second = (XTBOracle(outputs=["energy", "gap"]).evaluate(molecule("CCO"), "gfn2").values for _ in range(2))
    assert first == second


def test_details_are_json_and_hold_the_geometry(molecule):
    details = PySCFOracle(fidelities=LADDER).evaluate(molecule("O"), "hf").details
    assert json.loads(json.dumps(details)) == details
    assert details["geometry"]["symbols"] == ["O", "H", "H"]
    assert np.shape(details["geometry"]["positions"]) == (3, 3)
    assert details["scf_cycles"] > 1
    assert details["method"] == "HF/sto-3g"


def test_a_molecule_is_embedded_once_for_all_levels(molecule):
    geometry.from_smiles.cache_clear()
    oracle = PySCFOracle(fidelities=LADDER)
    for fidelity in oracle.fidelities:
        oracle.evaluate(molecule("CC"), fidelity.name)
    assert geometry.from_smiles.cache_info().misses == 1


def test_a_water_scan_has_its_minimum_between_its_ends():
    oracle = water_scan()
    energies = [
        oracle.evaluate(Candidate("parameters", {"r": r, "angle": 100.0}), "hf").values["energy"]
        for r in (0.8, 0.99, 1.3)
    ]
    assert min(energies) == energies[1]


def test_relaxation_at_a_level_lowers_its_energy_and_reaches_its_known_bond_length(molecule):
    raw = XTBOracle(geometry={"optimize": "none"}).evaluate(molecule("O"), "gfn2")
    relaxed = XTBOracle(geometry={"optimize": "oracle"}).evaluate(molecule("O"), "gfn2")
    oxygen, hydrogen, _ = np.array(relaxed.details["geometry"]["positions"])
    assert relaxed.values["energy"] < raw.values["energy"]
    assert np.linalg.norm(oxygen - hydrogen) == pytest.approx(0.959, abs=0.003)


def test_a_geometry_relaxed_at_a_cheap_level_serves_the_dear_one(molecule):
    levels = [LADDER[0], LADDER[1] | {"optimize_geometry": "xtb"}]
    oracle = PySCFOracle(fidelities=levels, outputs=["energy", "forces"])
    dear = oracle.evaluate(molecule("O"), "hf").details["geometry"]
    cheap = XTBOracle(geometry={"optimize": "oracle"}).evaluate(molecule("O"), "gfn2").details["geometry"]
    assert np.array(dear["positions"]) == pytest.approx(np.array(cheap["positions"]), abs=1e-6)


def test_levels_that_differ_have_different_cache_keys_and_names_do_not_matter(molecule):
    first, second = PySCFOracle(fidelities=LADDER), PySCFOracle(fidelities=[LADDER[2] | {"name": "truth"}, LADDER[1]])
    keys = [cache_key(first.name, first.cache_version, molecule("O"), fidelity) for fidelity in first.fidelities]
    assert len(set(keys)) == 3
    assert cache_key(second.name, second.cache_version, molecule("O"), second.fidelities[0]) == keys[2]


@pytest.mark.parametrize("smiles", ["nonsense", "[CH3]", "C*"])
def test_impossible_molecules_are_invalid_candidates(molecule, smiles):
    with pytest.raises(InvalidCandidate):
        XTBOracle().evaluate(molecule(smiles), "gfn2")


def test_a_radical_is_answered_when_the_spin_says_so(molecule):
    answer = XTBOracle(spin=1).evaluate(molecule("[CH3]"), "gfn2")
    assert answer.details["spin"] == 1


def test_a_charge_of_the_options_overrides_the_smiles(molecule):
    assert XTBOracle(charge=1, spin=1).evaluate(molecule("O"), "gfn2").details["charge"] == 1
    assert XTBOracle().evaluate(molecule("[NH4+]"), "gfn2").details["charge"] == 1


def test_xtb_that_does_not_converge_says_so(molecule):
    oracle = XTBOracle(fidelities=[{"method": "gfn2", "max_cycle": 1}])
    with pytest.raises(NotConverged, match="not converged in 1 cycles"):
        oracle.evaluate(molecule("O"), "gfn2")


def test_an_scf_that_does_not_converge_says_so(molecule):
    oracle = PySCFOracle(fidelities=[LADDER[1] | {"max_cycle": 1}])
    with pytest.raises(NotConverged, match="did not converge"):
        oracle.evaluate(molecule("O"), "hf")


def test_an_unknown_basis_is_found_at_construction_with_its_field():
    with pytest.raises(ValidationError, match=r"no basis 'def2-svpp'. Did you mean") as caught:
        PySCFOracle(fidelities=[LADDER[0], {"method": "hf", "basis": "def2-svpp"}])
    assert caught.value.errors()[0]["loc"] == ("fidelities", 1, "basis")


def test_an_unknown_method_is_found_at_construction_with_its_field():
    with pytest.raises(ValidationError, match="no functional 'b3lypp'") as caught:
        PySCFOracle(fidelities=[{"method": "b3lypp", "basis": "def2-svp"}])
    assert caught.value.errors()[0]["loc"] == ("fidelities", 0, "method")


def test_xtb_knows_no_density_functional():
    with pytest.raises(ValidationError, match="gfn1 and gfn2, not 'pbe'"):
        XTBOracle(fidelities=[{"method": "pbe", "basis": "sto-3g"}])


def test_an_unknown_output_is_refused_at_construction():
    with pytest.raises(MissingOutput, match="Did you mean 'gap'"):
        XTBOracle(outputs=["gaps"])


def test_a_level_without_forces_cannot_relax():
    fitted = {"method": "mp2", "basis": "sto-3g", "density_fit": True}
    with pytest.raises(MissingOutput, match="no geometry can be relaxed at 'mp2'") as caught:
        PySCFOracle(fidelities=[fitted], geometry={"optimize": "oracle"})
    assert caught.value.field == ("fidelities", 0)


def test_tblite_that_is_missing_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(tblite_backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"pip install 'theoros\[xtb\]'"):
        XTBOracle()


def test_a_gpu_without_gpu4pyscf_is_refused_at_construction():
    with pytest.raises(MissingDependency, match="gpu4pyscf is not installed"):
        PySCFOracle(fidelities=LADDER, resources={"num_gpus": 1})


def test_parameters_must_be_named_like_the_placeholders():
    with pytest.raises(ValueError, match=r"placeholders \['angle', 'r'\], and the space the parameters \['x'\]"):
        PySCFOracle(space=Parameters(x=Real(0, 1)), geometry={"template": ZMATRIX}, fidelities=LADDER)


def test_a_space_of_another_kind_is_refused_with_the_mend():
    with pytest.raises(ValueError, match=r"add geometry\.template"):
        PySCFOracle(space=Parameters(x=Real(0, 1)), fidelities=LADDER)
    with pytest.raises(ValueError, match=r"remove geometry\.template"):
        PySCFOracle(space=Molecules(), geometry={"template": ZMATRIX}, fidelities=LADDER)


def test_threads_are_held_to_the_resources(molecule, monkeypatch):
    from pyscf import lib
    from threadpoolctl import threadpool_info

    seen = []
    oracle = PySCFOracle(fidelities=LADDER, resources={"num_cpus": 1})
    start = oracle._calculate
    monkeypatch.setattr(
        oracle,
        "_calculate",
        lambda level: (
            seen.append((lib.num_threads(), max(i["num_threads"] for i in threadpool_info()))) or start(level)
        ),
    )
    oracle.evaluate(molecule("O"), "hf")
    assert set(seen) == {(1, 1)}


def test_importing_levels_loads_no_heavy_library():
    code = (
        "import theoros.oracles.chemistry.oracle, sys; print({'pyscf', 'rdkit', 'tblite', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
