"""The water campaign ends at the geometry that PySCF's own optimiser finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from theoros.orchestrator.campaign import Campaign

FILE = Path(__file__).parents[2] / "campaigns" / "water" / "campaign.yaml"


def optimised() -> tuple[float, float]:
    """Bond length (angstrom) and angle (degree) by analytic gradients and geomeTRIC."""
    from pyscf import gto, scf
    from pyscf.geomopt.geometric_solver import optimize

    molecule = gto.M(atom="O; H 1 0.96; H 1 0.96 2 104.5", basis="def2-svp", verbose=0)
    xyz = optimize(scf.RHF(molecule).run(conv_tol=1e-11), verbose=0).atom_coords(unit="angstrom")
    a, b = xyz[1] - xyz[0], xyz[2] - xyz[0]
    return np.linalg.norm(a), np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


@pytest.mark.usefixtures("local_ray")
def test_water_is_found_to_a_thousandth_of_an_angstrom_from_energies_alone(tmp_path):
    campaign = Campaign(FILE, tmp_path / "t.db")
    assert campaign.run().finished
    labels = campaign.labels()
    best = labels.loc[labels["energy"].idxmin()]
    r, angle = optimised()
    assert best["r"] == pytest.approx(r, abs=0.001)
    assert best["angle"] == pytest.approx(angle, abs=0.1)
    assert len(labels) <= 30
