"""Features: the unit cube and back, fingerprints, tables, constraints."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theoros.models.encoders import ParameterEncoder, TableEncoder, encoder_for
from theoros.models.fingerprints import FingerprintEncoder
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Integer, Parameters, Real


def test_every_sampled_candidate_survives_the_way_to_the_cube_and_back(mixed):
    encoder = ParameterEncoder.of(mixed)
    candidates = mixed.sample(200, np.random.default_rng(0))
    assert encoder.decode(encoder.encode(candidates)) == candidates


def test_numbers_lie_in_the_unit_interval_and_categories_are_indices(mixed):
    encoder = ParameterEncoder.of(mixed)
    features = encoder.encode(mixed.sample(200, np.random.default_rng(1)))
    numeric = [i for i in range(encoder.dimension) if i not in encoder.categorical]
    assert features.dtype == torch.float64
    assert features[:, numeric].min() >= 0
    assert features[:, numeric].max() <= 1
    assert set(features[:, encoder.categorical[0]].tolist()) == {0.0, 1.0, 2.0}


def test_a_logarithmic_parameter_is_even_in_its_logarithm():
    encoder = ParameterEncoder.of(Parameters(t=Real(1e-2, 1e2, log=True)))
    middle = encoder.space.candidate({"t": 1.0})
    assert encoder.encode([middle]).item() == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
@settings(max_examples=100)
def test_any_point_of_the_cube_decodes_to_a_valid_candidate_whose_features_decode_to_it(unit):
    space = Parameters(
        a=Real(-3, 5),
        b=Real(1, 1000, log=True),
        c=Integer(-2, 9),
        d=Integer(1, 64, log=True),
        e=Real(0, 1, step=0.3),
        f=Real(2, 3),
    )
    encoder = ParameterEncoder.of(space)
    (candidate,) = encoder.decode(np.array([unit]))
    space.check(candidate)
    assert encoder.decode(encoder.encode([candidate])) == [candidate]


def test_grids_list_exactly_the_features_of_the_allowed_values(mixed):
    for column in ParameterEncoder.of(mixed).columns:
        grid = column.grid()
        if column.kind == "continuous":
            assert grid is None
        else:
            assert [column.encode(column.decode(u)) for u in grid] == pytest.approx(list(grid))
            assert len(set(grid)) == mixed.parameters[column.name].cardinality


def test_linear_constraints_hold_in_the_cube_exactly_where_they_hold_in_the_space():
    space = Parameters(x=Real(-2, 6), y=Real(1, 5), constraints=["2*x + 3*y <= 9", "x - y >= -4"])
    encoder = ParameterEncoder.of(space)
    inequalities, equalities = encoder.linear_constraints()
    points = np.random.default_rng(0).random((500, 2))
    inside = [all(float((torch.from_numpy(p)[i] * c).sum()) >= rhs for i, c, rhs in inequalities) for p in points]
    assert equalities == []
    assert [candidate is not None for candidate in encoder.decode(points)] == inside
    assert 0 < sum(inside) < 500


def test_a_constraint_on_an_integer_can_not_be_written_over_features():
    space = Parameters(x=Real(0, 1), n=Integer(1, 4), constraints=["x + n <= 3"])
    assert ParameterEncoder.of(space).linear_constraints() is None


def test_an_equality_becomes_botorchs_equality():
    space = Parameters(x=Real(0, 1), y=Real(0, 1), constraints=["x + y == 1"])
    inequalities, ((indices, coefficients, rhs),) = ParameterEncoder.of(space).linear_constraints()
    assert (inequalities, indices.tolist(), coefficients.tolist(), rhs) == ([], [0, 1], [1.0, 1.0], 1.0)


def test_alkanes_that_bit_fingerprints_confuse_are_told_apart(molecules):
    long, longer = (molecules.candidate("C" * n) for n in (8, 9))
    features = FingerprintEncoder().encode([long, longer])
    assert not torch.equal(features[0], features[1])


def test_a_fingerprint_does_not_depend_on_how_the_smiles_was_written(molecules):
    one, other = molecules.candidate("OCC(F)F"), molecules.candidate("FC(F)CO")
    assert torch.equal(*FingerprintEncoder().encode([one, other]))


def test_a_table_is_scaled_by_its_own_ranges(table_library):
    encoder = encoder_for(table_library)
    assert isinstance(encoder, TableEncoder)
    features = encoder.encode([c for batch in table_library.iterate() for c in batch])
    number = next(i for i in range(2) if i not in encoder.categorical)
    assert features[:, number].min() == 0
    assert features[:, number].max() == 1


def test_a_kind_without_encoder_is_refused_with_advice():
    class Strings:
        kind, is_finite = "sequence", False

    with pytest.raises(ValueError, match="no encoder for candidates of kind 'sequence'"):
        encoder_for(Strings())


def test_composition_is_blind_to_how_atoms_hang_together_and_environments_are_not():
    """Propan-1-ol and propan-2-ol are made of the same parts."""
    encoder = FingerprintEncoder()
    one, two, other = encoder.encode([Candidate("molecule", {"smiles": s}) for s in ("CCCO", "CC(C)O", "CCCS")])
    (start, end), (first, last), *_ = encoder.blocks
    assert torch.equal(one[start:end], two[start:end])
    assert not torch.equal(one[start:end], other[start:end])
    assert not torch.equal(one[first:last], two[first:last])


def test_a_block_without_columns_is_left_out(smiles_candidates):
    alone, all_four = FingerprintEncoder(composition=0, pairs=0, levels=0), FingerprintEncoder()
    assert alone.blocks == ((0, 4096),)
    first, end = all_four.blocks[1]
    assert torch.equal(alone.encode(smiles_candidates), all_four.encode(smiles_candidates)[:, first:end])


def test_pairs_tell_how_far_apart_two_groups_sit_where_environments_do_not():
    """Two long diamines whose groups are alike and whose chains differ by one link in the middle."""
    near, far = (Candidate("molecule", {"smiles": f"N{'C' * n}N"}) for n in (10, 11))
    encoder = FingerprintEncoder()
    one, other = encoder.encode([near, far])
    shares = [
        float((one[a:b] * other[a:b]).sum() / torch.maximum(one[a:b], other[a:b]).sum()) for a, b in encoder.blocks[1:3]
    ]
    assert shares[1] < shares[0]


def test_the_similarity_of_descriptors_depends_on_their_distance_alone(smiles_candidates):
    from rdkit import Chem

    from theoros.models.descriptors import RANGES, descriptors

    fine = FingerprintEncoder(composition=0, columns=0, pairs=0, levels=1024)
    bits = fine.encode(smiles_candidates[:20])
    table = np.array([descriptors(Chem.MolFromSmiles(c.data["smiles"])) for c in smiles_candidates[:20]])
    low, high = np.array(list(RANGES.values())).T
    distance = np.abs((table[:, None] - table[None]) / (high - low)).mean(2)
    both = bits @ bits.T
    similarity = both / (2 * bits.sum(1)[0] - both)
    assert (table >= low).all()
    assert (table <= high).all()
    assert np.allclose(similarity, (1 - distance) / (1 + distance), atol=2e-3)
