"""Trained weights kept on disk, so that a generator is trained once for a corpus and not once for a decision."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from theoros.oracles.cache_folder import cache_folder
from theoros.oracles.candidate import content_hash


def trained(key: object, train: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The weights that were trained for `key` (JSON data: corpus, sizes, seed, version of the code), or train them now.

    Kept as arrays in a zip file, never pickled, and written beside and renamed, so that two processes that train at
    once leave one whole file. A file that can't be read is made again. Where the folder can't be written, training
    happens in every process.
    """
    path = cache_folder() / "weights" / f"{content_hash(key)}.npz"
    if (found := _read(path)) is not None:
        return found
    weights = {name: value.detach().cpu() for name, value in train().items()}
    _write(path, weights)
    return weights


def _read(path: Path) -> dict[str, Tensor] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: torch.from_numpy(stored[name]) for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None


def _write(path: Path, weights: Mapping[str, Tensor]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(file, **{name: value.numpy() for name, value in weights.items()})  # type: ignore[arg-type]
        Path(file.name).replace(path)
    except OSError:
        return
