"""When an oracle was at work, written down by the oracle itself: the same ruler for every engine that calls it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

#: A slot is a process, or a thread of one; `began` and `ended` are seconds since 1970.
COLUMNS = ("process", "thread", "began", "ended", "answered")


class Logbook:
    """A file that many processes append to, one line for each evaluation. Lines that are this short never mix."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @contextlib.contextmanager
    def entry(self) -> Iterator[None]:
        """Note one evaluation, whether it answers or raises."""
        began, answered = time.time(), 0
        try:
            yield
            answered = 1
        finally:
            line = f"{os.getpid()},{threading.get_ident()},{began:.6f},{time.time():.6f},{answered}\n"
            os.write(self._file, line.encode())


def read(path: Path) -> pd.DataFrame:
    """The evaluations so far, in the order of their beginnings."""
    return pd.read_csv(path, names=list(COLUMNS)).sort_values("began", ignore_index=True)


def gaps(log: pd.DataFrame) -> np.ndarray:
    """Seconds from each answer to the beginning of the next evaluation on the same slot."""
    found = [
        slot["began"].to_numpy()[1:] - slot["ended"].to_numpy()[:-1]
        for _, slot in log.sort_values("began").groupby(["process", "thread"])
    ]
    return np.concatenate(found) if found else np.empty(0)


def use(log: pd.DataFrame, slots: int, since: float, until: float) -> float:
    """Busy over available time between two moments."""
    busy = (log["ended"].clip(upper=until) - log["began"].clip(lower=since)).clip(lower=0).sum()
    return float(busy / (slots * (until - since))) if until > since else float("nan")


def uses(log: pd.DataFrame, slots: int) -> dict[str, float]:
    """Three figures of use, all from the first beginning but the last.

    `use` goes to the moment when the last decision was handed out, `use_whole` to the end of the last evaluation, and
    `use_all_up` leaves out the time until as many evaluations as there are slots had begun.
    """
    first, last_begun, end = log["began"].min(), log["began"].max(), log["ended"].max()
    all_up = float(log["began"].sort_values().iloc[min(slots, len(log)) - 1])
    return {
        "use": use(log, slots, first, last_begun),
        "use_whole": use(log, slots, first, end),
        "use_all_up": use(log, slots, all_up, last_begun),
    }
