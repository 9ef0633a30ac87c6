"""Large arrays are kept whole, once, and never trusted blindly."""

from __future__ import annotations

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from theoros.db import ArtifactStore
from theoros.db.artifacts import default_artifacts
from theoros.db.engine import parse_url
from theoros.db.errors import ArtifactCorrupt, ArtifactNotFound


@pytest.fixture
def artifacts(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


def files(artifacts, tmp_path):
    return [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]


def test_an_array_comes_back_bit_for_bit(artifacts):
    array = np.random.default_rng(0).normal(size=(20, 3, 2))[::2]
    digest, size = artifacts.put_array(array)
    np.testing.assert_array_equal(artifacts.get_array(digest), array)
    assert size == len(artifacts.get(digest))


def test_the_same_content_is_kept_once_whoever_puts_it(artifacts, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: artifacts.put(b"same" * 1000), range(16)))
    assert len(digests) == 1
    assert len(files(artifacts, tmp_path)) == 1, "and no temporary file is left"


def test_a_tampered_artifact_is_detected(artifacts, tmp_path):
    digest, _ = artifacts.put_array(np.zeros(100))
    (path,) = files(artifacts, tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ArtifactCorrupt, match="not what was stored"):
        artifacts.get_array(digest)


def test_a_tampered_artifact_is_detected_through_the_store(store, work, make, tmp_path):
    work.ask(1)
    store.complete(work.claim().token, make.answer(forces=np.zeros((50, 3))))
    (path,) = files(store.artifacts, tmp_path)
    path.write_bytes(b"\x93NUMPY")
    (label,) = store.label_records(work.name)
    with pytest.raises(ArtifactCorrupt):
        label.values["forces"]


def test_large_outputs_are_read_when_they_are_looked_at(store, work, make, tmp_path):
    work.ask(1)
    forces = np.arange(150.0).reshape(50, 3)
    store.complete(work.claim().token, make.answer(forces=forces, dipole=np.ones(3)))
    (path,) = files(store.artifacts, tmp_path)
    content = path.read_bytes()
    path.unlink()
    (label,) = store.label_records(work.name)
    assert {"forces", "dipole"} <= set(label.values)
    assert label.arrays["forces"].shape == (50, 3)
    np.testing.assert_array_equal(label.values["dipole"], np.ones(3))
    with pytest.raises(ArtifactNotFound):
        label.arrays["forces"].read()
    path.write_bytes(content)
    travelled = pickle.loads(pickle.dumps(label.arrays["forces"]))
    np.testing.assert_array_equal(travelled.read(), forces)


def test_a_missing_artifact_is_answered_with_where_to_look(artifacts):
    with pytest.raises(ArtifactNotFound, match="THEOROS_ARTIFACTS"):
        artifacts.get("0" * 64)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "", "0" * 63])
def test_what_is_no_digest_opens_no_file(artifacts, digest):
    with pytest.raises(ArtifactNotFound, match="no artifact digest"):
        artifacts.get(digest)


def test_no_pickle_is_ever_loaded(artifacts):
    buffer = io.BytesIO()
    np.save(buffer, np.array([object()]), allow_pickle=True)
    digest = artifacts.put(buffer.getvalue())
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.get_array(digest)
    with pytest.raises(ValueError, match="allow_pickle"):
        artifacts.put_array(np.array([object()]))


def test_other_file_systems_work_through_fsspec():
    artifacts = ArtifactStore("memory://theoros-test")
    digest, _ = artifacts.put_array(np.arange(5.0))
    assert artifacts.get_array(digest).tolist() == [0, 1, 2, 3, 4]


def test_artifacts_lie_beside_the_database_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("THEOROS_ARTIFACTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert default_artifacts(parse_url("campaigns.db")) == str(tmp_path / "campaigns.artifacts")
    assert default_artifacts(parse_url("postgresql://host/name")) == str(tmp_path / "theoros-artifacts")
    monkeypatch.setenv("THEOROS_ARTIFACTS", "s3://bucket/theoros")
    assert default_artifacts(parse_url("campaigns.db")) == "s3://bucket/theoros"


def test_small_outputs_are_rows_and_large_ones_are_artifacts(store, work, make, tmp_path):
    work.ask(1)
    store.complete(work.claim().token, make.answer(small=np.ones(64), large=np.ones(65)))
    outputs = store.query("SELECT output, digest FROM label_outputs ORDER BY output")
    assert outputs.set_index("output")["digest"].notna().to_dict() == {"large": True, "small": False, "y": False}
    assert store.query("SELECT size, media_type FROM artifacts")["media_type"].tolist() == ["application/x-npy"]
