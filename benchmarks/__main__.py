"""All benchmarks, one after another, each adding the rows that its table lacks: ``make bench``."""

from __future__ import annotations

import importlib

SCRIPTS = (
    "worker_use",
    "throughput",
    "utilisation",
    "writers",
    "scale",
    "many_labels",
    "water",
    "polarizability",
    "synthetic",
    "fidelities",
    "asynchronous",
    "calibration",
    "robustness",
    "growth",
    "transfer",
    "generators",
    "known_answer",
    "discovery",
    "pmo",
    "learning",
    "scattering",
    "foam",
    "foam_levels",
    "foam_twin",
    "foam_windows",
)

for script in SCRIPTS:
    print(f"== {script}", flush=True)
    importlib.import_module(f"benchmarks.{script}").main()
