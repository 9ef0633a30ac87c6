"""Databases that several of this room's tests read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from theoros.db import Store


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """An empty database."""
    with Store(tmp_path / "t.db") as store:
        yield store


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Iterator[Store]:
    """A database with the campaign ``demo`` of molecules and its control (`tests.orchestrator.molecule_book`)."""
    from tests.orchestrator.molecule_book import write_demo

    with Store(tmp_path_factory.mktemp("molecules") / "t.db") as store:
        write_demo(store)
        yield store
