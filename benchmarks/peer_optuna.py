"""A study in Optuna: one process for each slot, random choice, and a storage that they share."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import optuna

from benchmarks import probes

STUDY = "bench"
#: Seconds that the processes wait for each other before they begin.
DEADLINE = 300.0


def storage(backend: str, url: str) -> Any:
    """Optuna's storage: its relational one, or its journal in a file."""
    if backend == "journal":
        from optuna.storages.journal import JournalFileBackend

        return optuna.storages.JournalStorage(JournalFileBackend(str(Path(url).with_suffix(".journal"))))
    if backend == "sqlite":  # its processes queue for the file's lock; without patience they give up
        return optuna.storages.RDBStorage(f"sqlite:///{url}", engine_kwargs={"connect_args": {"timeout": 600}})
    return optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))


def run(backend: str, url: str, n: int, slots: int, seed: int, task: tuple[str, str]) -> tuple[int, float]:
    """Run a study of `n` trials; returns how many the storage holds, and when the last was in it (s since 1970)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=storage(backend, url), study_name=STUDY, direction="minimize")
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Barrier(slots), context.SimpleQueue()
    shares = [n // slots + (i < n % slots) for i in range(slots)]
    workers = [
        context.Process(target=_work, args=(backend, url, share, 1000 * seed + i, task, ready, ends))
        for i, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed := [worker.exitcode for worker in workers if worker.exitcode]:
        raise RuntimeError(f"{len(failed)} of Optuna's processes failed, with {failed}")
    study = optuna.load_study(storage=storage(backend, url), study_name=STUDY)
    stored = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return len(stored), max(ends.get() for _ in workers)


def _work(backend: str, url: str, n: int, seed: int, task: tuple[str, str], ready: Any, ends: Any) -> None:
    """One process: `n` trials, begun when all processes are ready."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.load_study(storage=storage(backend, url), study_name=STUDY, sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        return probes.ask(*task, [trial.suggest_float("x1", 0, 1)])

    ready.wait(DEADLINE)
    study.optimize(objective, n_trials=n)
    ends.put(time.time())
