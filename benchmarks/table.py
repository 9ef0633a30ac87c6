"""Result tables that grow: one row per method, problem and seed, appended as soon as it is measured."""

from __future__ import annotations

import csv
import datetime as dt
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import wilcoxon

FOLDER = Path(__file__).parent


class Table:
    """A CSV file with one row per measurement. `keys` are the columns that identify one."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        self.path, self.keys = FOLDER / f"{name}.csv", tuple(keys)

    def rows(self) -> list[dict[str, str]]:
        """All rows so far."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def has(self, **key: Any) -> bool:
        """Whether this has been measured already."""
        wanted = {name: str(value) for name, value in key.items()}
        return any(all(row[name] == value for name, value in wanted.items()) for row in self.rows())

    def append(self, packages: Iterable[str] = (), **values: Any) -> None:
        """Add a row, with date, machine and package versions."""
        versions = " ".join(f"{name}={version(name)}" for name in ("theoros", *packages))
        row = values | {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "versions": versions,
        }
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print("  ".join(f"{name}={value}" for name, value in values.items()), flush=True)


def spread(values: Sequence[float]) -> str:
    """``median [min-max] (n)``."""
    if not values:
        return "-"
    return f"{np.median(values):.4g} [{min(values):.4g}-{max(values):.4g}] (n = {len(values)})"


class Paired(NamedTuple):
    """Two methods on the same seeds: in how many of `n` the first was lower, and the probability of a difference at
    least as large if neither was better (Wilcoxon's signed-rank test, two-sided; NaN with fewer than two seeds).
    """

    n: int
    lower: int
    p: float


def paired(rows: Sequence[Mapping[str, str]], name: str, key: str, first: str, second: str, **where: Any) -> Paired:
    """Column `name` where column `key` says `first` against where it says `second`, seed by seed."""
    wanted = {column: str(value) for column, value in where.items()}
    ours, theirs = (
        {
            row["seed"]: float(row[name])
            for row in rows
            if row[key] == method and row[name] != "" and all(row[k] == v for k, v in wanted.items())
        }
        for method in (first, second)
    )
    seeds = sorted(set(ours) & set(theirs))
    pairs = np.array([(ours[seed], theirs[seed]) for seed in seeds]).reshape(-1, 2)
    p = float(wilcoxon(*pairs.T).pvalue) if len(pairs) > 1 else np.nan
    return Paired(len(pairs), int((pairs[:, 0] < pairs[:, 1]).sum()), p)


def column(rows: Iterable[Mapping[str, str]], name: str, **where: Any) -> list[float]:
    """The numbers of a column in the rows that match; empty cells are left out."""
    wanted = {key: str(value) for key, value in where.items()}
    return [float(r[name]) for r in rows if r[name] != "" and all(r[k] == v for k, v in wanted.items())]
