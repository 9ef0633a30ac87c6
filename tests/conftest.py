from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Every process of the tests gets one thread: cores are shared by workers, and oversubscription is slow.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One local Ray for all tests that need any: its start takes seconds."""
    from theoros.workers import cluster

    cluster.connect(None, num_cpus=4)
    yield
    cluster.disconnect()
