"""From what a worker reports to what the database keeps."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import make_url

from theoros.db import Store
from theoros.db.errors import AttemptNotFound
from theoros.db.records import AnswerRecord, OutputValue, RunInfo
from theoros.orchestrator.plan import Plan
from theoros.workers import spool
from theoros.workers.messages import Outcome


def run_info(outcome: Outcome) -> RunInfo:
    """Where an attempt ran and what it used."""
    return RunInfo(
        host=outcome.host,
        pid=outcome.pid,
        wall_seconds=outcome.wall_seconds,
        cpu_seconds=outcome.cpu_seconds,
        max_rss=outcome.max_rss,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
    )


def answer_record(plan: Plan, outcome: Outcome) -> AnswerRecord:
    """An answer as the database keeps it, with the units that the oracle declared."""
    return AnswerRecord(
        oracle=plan.oracle_name,
        oracle_version=plan.oracle_version,
        outputs={name: OutputValue(value, plan.outputs[name].unit) for name, value in outcome.arrays().items()},
        cost=plan.cost(outcome.fidelity),
        run=run_info(outcome),
        details=outcome.details,
    )


def spool_folder(store: Store, campaign: str) -> Path:
    """Where workers put the answers of a campaign before they report them: below THEOROS_SPOOL, else beside a SQLite
    file, else in the working directory of whoever runs the campaign.
    """
    if chosen := os.environ.get("THEOROS_SPOOL"):
        return Path(chosen).resolve() / campaign
    url = make_url(store.url)
    home = Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else Path.cwd()
    return home.resolve() / ".theoros-spool" / campaign


def take_in_orphans(
    store: Store,
    plan: Plan,
    outcomes: list[Outcome],
    folder: Path,
    *,
    patiently: Callable[[Callable[[], bool]], bool] = lambda call: call(),
) -> int:
    """Store answers that were computed but never reported, and remove their files; returns how many became labels.

    `patiently` makes a call of the store: it may wait for a database that is away, as `theoros.db.patience` does.
    """
    taken = 0
    for outcome in outcomes:
        complete = functools.partial(store.complete, outcome.token, answer_record(plan, outcome))
        try:
            taken += patiently(complete)
        except AttemptNotFound:
            continue  # another database's answer: not ours to remove
        spool.discard(folder, outcome.token)
    return taken
