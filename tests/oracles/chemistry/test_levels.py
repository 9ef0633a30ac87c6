"""What a user may write, what is refused with a mend, and what makes two levels different."""

import pytest
from pydantic import ValidationError

from theoros.oracles.chemistry.levels import ChemistryOptions, GeometryOptions, Level
from theoros.oracles.chemistry.names import (
    NoCore,
    check_basis,
    check_xc,
    count_functions,
    includes_dispersion,
    pseudopotential,
)

DFT = {"method": "b3lyp", "basis": "def2-svp"}


def settings(geometry=None, charge=None, spin=0, **changes):
    options = ChemistryOptions(fidelities=[DFT | changes], geometry=geometry or {}, charge=charge, spin=spin)
    return options.settings(options.fidelities[0])


def test_a_misspelt_basis_gets_the_nearest_names():
    with pytest.raises(ValueError, match=r"PySCF has no basis 'def2-svpp'. Did you mean .*'def2-svp'"):
        check_basis("def2-svpp")


def test_a_misspelt_functional_gets_the_nearest_names():
    with pytest.raises(ValueError, match=r"PySCF has no functional 'b3lypp'. Did you mean .*'b3lyp'"):
        check_xc("b3lypp")


@pytest.mark.parametrize("basis", ["def2-svp", "sto-3g", "6-31+g*", "6-31g(2df,p)", "aug-cc-pvtz", "ma-def2-svp"])
def test_common_basis_sets_are_known(basis):
    check_basis(basis)


@pytest.mark.parametrize(
    "xc", ["pbe", "b3lyp", "pbe0", "wb97x", "r2scan", "lda,vwn", "0.5*hf + 0.5*b88, lyp", "m06-2x"]
)
def test_common_functionals_are_known(xc):
    check_xc(xc)


@pytest.mark.parametrize("name", ["/etc/passwd", "def2-svp@3s2p", "sto-3g\nH S", ""])
def test_a_basis_is_a_name_and_never_a_file(name):
    with pytest.raises(ValueError, match="PySCF has no basis"):
        check_basis(name)


@pytest.mark.parametrize(
    "name", ["def2-universal-jkfit", "def2-svp-ri", "cc-pvdz-f12-optri", "weigend", "sap_grasp_small"]
)
def test_a_set_that_fits_densities_is_refused(name):
    with pytest.raises(ValueError, match=r"fits densities.*use an orbital basis"):
        check_basis(name)


@pytest.mark.parametrize("name", ["bfd_vdz", "ccecp-cc-pvdz", "gth-dzvp"])
def test_a_set_whose_pseudopotential_is_not_found_is_refused(name):
    with pytest.raises(ValueError, match=r"made for pseudopotentials.*use for example def2-svp"):
        check_basis(name)


@pytest.mark.parametrize(
    ("basis", "symbol", "found"),
    [
        ("def2-svp", "Br", None), ("def2-svp", "I", "def2-svp"), ("def2-mtzvpp", "I", "def2-svp"),
        ("ma-def2-svp", "I", "ma-def2-svp"), ("lanl2dz", "C", None), ("lanl2dz", "Cl", "lanl2dz"),
        ("sbkjc", "O", "sbkjc"), ("sto-3g", "I", None), ("cc-pvdz", "Br", None),
    ],
)  # fmt: skip
def test_a_basis_comes_with_the_pseudopotentials_that_it_is_made_for(basis, symbol, found):
    assert pseudopotential(basis, symbol) == found


def test_a_valence_basis_without_a_pseudopotential_is_refused():
    with pytest.raises(NoCore, match="holds no core electrons of Ce"):
        pseudopotential("ma-def2-svp", "Ce")


def test_double_hybrids_without_coefficients_are_refused_because_their_mp2_part_would_be_missing():
    with pytest.raises(ValueError, match=r"double hybrid.*Those which it has are b2plyp"):
        check_xc("dsd-pbep86")
    for name in ("b2plyp", "PBE0-DH"):
        Level(method=name, basis="def2-svp").check_method()


@pytest.mark.parametrize("name", ["wb97x-2", "wB97X_2"])
def test_a_double_hybrid_is_not_read_as_a_functional_minus_another(name):
    with pytest.raises(ValueError, match="double hybrid"):
        check_xc(name)


@pytest.mark.parametrize(
    "name", ["b97-d", "b97_d", "wb97x-d", "wb97x-d3", "b97-3c", "b3lyp-d3bj", "wb97x-d3bj", "pbe0-d4", "gga_xc_b97_d"]
)
def test_dispersion_in_a_functionals_name_is_refused_with_the_option_for_it(name):
    with pytest.raises(ValueError, match=r"names the dispersion correction.*add dispersion: d3bj"):
        check_xc(name)


@pytest.mark.parametrize(
    "name", ["b97-1", "b97-2", "hcth-120", "mn15-l", "wb97x-v", "scan_vv10", "0.9*b88 - 0.1*lda, lyp"]
)
def test_a_hyphen_in_a_functionals_name_is_no_harm(name):
    check_xc(name)


def test_a_hyphen_that_pyscf_reads_as_minus_is_refused():
    with pytest.raises(ValueError, match=r"difference of functionals. Write '_' for '-'"):
        check_xc("scan-vv10")


def test_a_functional_that_was_fitted_with_dispersion_has_it_unasked():
    assert includes_dispersion("cf22d")
    assert not includes_dispersion("b3lyp")


def test_basis_functions_are_counted():
    assert [count_functions("def2-svp", symbol) for symbol in ("H", "C")] == [5, 14]
    assert count_functions("6-31g*", "Au") == 0


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({"method": "b3lyp"}, (), "needs a basis"),
        ({"method": "gfn2", "basis": "def2-svp"}, (), "own basis"),
        ({"method": "mp2", "basis": "sto-3g", "dispersion": "d4"}, (), "includes dispersion"),
        (DFT | {"grid": 3}, ("grid",), "Extra inputs"),
        (DFT | {"grid_level": 12}, ("grid_level",), "less than or equal"),
        (DFT | {"conv_tol": -1}, ("conv_tol",), "greater than"),
    ],
)
def test_a_wrong_level_names_the_field(options, place, message):
    with pytest.raises(ValidationError, match=message) as caught:
        ChemistryOptions(fidelities=[options])
    assert caught.value.errors()[0]["loc"] == ("fidelities", 0, *place)


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Level(**DFT).method = "pbe"


def test_fidelities_need_distinct_names():
    with pytest.raises(ValidationError, match="share a name"):
        ChemistryOptions(fidelities=[DFT, DFT])


def test_a_geometry_from_a_level_that_there_is_not_is_refused():
    with pytest.raises(ValidationError, match="'gfn3', which there isn't"):
        ChemistryOptions(fidelities=[DFT | {"optimize_geometry": "gfn3"}])


def test_a_template_cannot_be_optimised():
    with pytest.raises(ValidationError, match="remove optimize"):
        GeometryOptions(template="H\nH 1 {r}", optimize="oracle")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "pbe"},
        {"basis": "def2-tzvp"},
        {"density_fit": True},
        {"grid_level": 4},
        {"conv_tol": 1e-6},
        {"response_tol": 1e-6},
        {"dispersion": "d4"},
        {"solvent": "water"},
        {"solvent": {"dielectric": 10}},
        {"optimize_geometry": True},
        {"geometry": {"conformers": 9}},
        {"geometry": {"optimize": "none"}},
        {"geometry": {"seed": 1}},
        {"geometry": {"ensemble": {"temperature": 300}}},
        {"geometry": {"template": "H\nH 1 {r}"}},
        {"charge": 1},
        {"spin": 2},
    ],
)
def test_settings_tell_apart_what_changes_the_answer(change):
    assert settings(**change) != settings()


@pytest.mark.parametrize("change", [{"name": "truth"}, {"cost": 3.0}, {"max_cycle": 300}, {"description": "ours"}])
def test_settings_ignore_what_does_not_change_the_answer(change):
    assert settings(**change) == settings()


def test_whether_bonds_are_kept_counts_where_something_is_relaxed():
    lax = {"geometry": {"keep_bonds": False}}
    assert settings(**lax) == settings()
    assert settings(**lax, optimize_geometry=True) != settings(optimize_geometry=True)


def test_a_grid_changes_no_answer_of_hartree_fock():
    assert settings(method="hf", grid_level=1) == settings(method="hf", grid_level=4)


def test_a_level_relaxed_elsewhere_has_that_levels_theory_in_its_settings():
    ladder = ChemistryOptions(fidelities=[{"method": "gfn2"}, DFT | {"optimize_geometry": "gfn2"}])
    assert ladder.settings(ladder.fidelities[1])["geometry"]["relaxed_at"] == {"method": "gfn2"}
