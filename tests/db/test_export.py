"""What is exported can be read by the programs it is for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from theoros.db import OutputValue, StoreError
from theoros.db.errors import NothingToExport
from theoros.db.export import export

WATER = {"symbols": ["O", "H", "H"], "positions": [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]]}
FORCES = np.arange(9.0).reshape(3, 3)


@pytest.fixture
def labelled(store, work, make):
    work.ask(1, 2)
    for claim in store.claim(work.name, worker="w", limit=2):
        answer = make.answer(-76.0, forces=FORCES, details={"geometry": WATER, "code": "4.1"})
        answer.outputs["energy"] = OutputValue(np.array(-2079.0 - claim.sequence), "eV")
        store.complete(claim.token, answer)
    return work.name


def test_csv_says_the_units_in_its_header(store, labelled, tmp_path):
    assert export(store, labelled, tmp_path / "labels.csv", "csv") == 2
    table = pd.read_csv(tmp_path / "labels.csv")
    assert table["y [eV]"].tolist() == [-76.0] * 2
    assert table["x"].tolist() == [0.5, 1.0]
    assert table["forces [eV/A]"][0].startswith("[[0.0, 1.0")


def test_parquet_keeps_units_with_its_columns(store, labelled, tmp_path):
    import pyarrow.parquet as pq

    export(store, labelled, tmp_path / "labels.parquet", "parquet")
    table = pq.read_table(tmp_path / "labels.parquet")
    assert table.schema.field("energy").metadata[b"unit"] == b"eV"
    assert table["forces"].to_pylist()[1] == FORCES.tolist()


def test_structures_go_to_extended_xyz_with_energies_and_forces(store, labelled, tmp_path):
    from ase.io import read

    assert export(store, labelled, tmp_path / "labels.xyz", "extxyz") == 2
    images = read(tmp_path / "labels.xyz", ":")
    assert [image.get_potential_energy() for image in images] == [-2080.0, -2081.0]
    np.testing.assert_allclose(images[0].get_forces(), FORCES)
    assert images[0].info["y"] == -76.0
    assert images[0].info["campaign"] == labelled


def test_structures_go_to_an_ase_database_that_selects_by_outputs(store, labelled, tmp_path):
    from ase.db import connect

    assert export(store, labelled, tmp_path / "labels.db", "ase-db") == 2
    database = connect(tmp_path / "labels.db")
    (row,) = database.select("energy<-2080.5")
    np.testing.assert_allclose(row.forces, FORCES)
    assert (row.y, row.fidelity, row.sequence) == (-76.0, "high", 2)


def test_a_campaign_without_structures_says_so(store, work, make, tmp_path):
    work.ask(1)
    store.complete(work.claim().token, make.answer())
    for form in ("extxyz", "ase-db"):
        with pytest.raises(NothingToExport, match="tells a geometry"):
            export(store, work.name, tmp_path / "out", form)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_campaign_without_labels_says_so(store, campaign, tmp_path):
    with pytest.raises(NothingToExport, match="no labels yet"):
        export(store, campaign, tmp_path / "labels.csv", "csv")


def test_an_unknown_format_or_folder_is_refused(store, labelled, tmp_path):
    with pytest.raises(StoreError, match="csv, parquet, extxyz, ase-db"):
        export(store, labelled, tmp_path / "labels.xls", "xls")
    with pytest.raises(StoreError, match="mkdir -p"):
        export(store, labelled, tmp_path / "nowhere" / "labels.csv", "csv")


def test_an_export_that_fails_leaves_the_old_file(store, labelled, tmp_path, monkeypatch):
    target = tmp_path / "labels.csv"
    target.write_text("old")
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export(store, labelled, target, "csv")
    assert target.read_text() == "old"
