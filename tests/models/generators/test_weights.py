"""Weights are trained once for what they were trained for."""

import pytest
import torch

from theoros.models.generators import weights
from theoros.oracles.cache_folder import CACHE


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path))
    return tmp_path


class Training:
    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"layer.weight": torch.full((2, 3), 0.5), "step": torch.tensor(self.times)}


def test_what_was_trained_is_found_again_and_another_key_is_trained_anew():
    train = Training()
    first, again = (weights.trained({"corpus": "a", "size": 3}, train) for _ in range(2))
    assert train.times == 1
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights.trained({"corpus": "b", "size": 3}, train)
    assert train.times == 2


def test_a_damaged_file_is_made_again(own_folder):
    train = Training()
    weights.trained("key", train)
    (file,) = (own_folder / "weights").iterdir()
    file.write_bytes(file.read_bytes()[:40])
    weights.trained("key", train)
    weights.trained("key", train)
    assert train.times == 2


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(own_folder):
    (own_folder / "weights").write_text("a file in the way")
    train = Training()
    assert weights.trained("key", train)["step"] == 1
    assert weights.trained("key", train)["step"] == 2
