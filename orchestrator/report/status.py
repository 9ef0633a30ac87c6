"""The state of campaigns, from the database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from theoros.db import Store
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.report.final import print_model

if TYPE_CHECKING:
    import pandas as pd


#: States of evaluations in the order in which they are shown.
STATES = ("done", "running", "queued", "failed", "abandoned", "cancelled")


def status_table(store: Store) -> pd.DataFrame:
    """One row per campaign.

    ``worker use`` is busy over available time between the first start and the last end of an evaluation;
    ``s/decision`` the median seconds that a decision took.
    """
    import pandas as pd

    rows = []
    for record in store.campaigns():
        card = scorecard(store, record.name)
        progress = store.progress(record.name, card.cost_table)
        decisions = store.decisions(record.name)
        rows.append(
            {
                "campaign": record.name,
                "goal": f"{record.goal} {card.objective}",
                "state": record.state,
                "evaluations": ", ".join(f"{n} {state}" for state in STATES if (n := progress.total(state))),
                "cost": round(float(progress.cost), 2),
                "worker use": round(worker_use(store, record.name), 3),
                "s/decision": float(decisions.drop_duplicates("sequence")["seconds"].median()),
            }
        )
    table = pd.DataFrame(rows)
    table.index = pd.RangeIndex(1, len(table) + 1, name="")
    return table


def worker_use(store: Store, campaign: str) -> float:
    """Busy time over available time: workers seen, times the span from first start to last end. NaN before a label."""
    import pandas as pd

    attempts = store.attempts(campaign)
    attempts = attempts[attempts["ended_at"].notna() & (attempts["wall_seconds"] > 0)] if len(attempts) else attempts
    if not len(attempts):
        return float("nan")
    began = attempts["ended_at"] - pd.to_timedelta(attempts["wall_seconds"], unit="s")
    span = (attempts["ended_at"].max() - began.min()).total_seconds()
    return float(attempts["wall_seconds"].sum() / max(span * attempts["worker"].nunique(), 1e-9))


def print_campaign(console: Console, store: Store, name: str) -> None:
    """A campaign's question, progress, failures by class, model and last events."""
    record, card = store.campaign(name), scorecard(store, name)
    progress = store.progress(name, card.cost_table)
    reason = f" ({record.stop_reason})" if record.stop_reason else ""
    console.print(
        f"[bold]{name}[/]: {record.goal} {card.name_of(card.objective)}; {record.state}{reason}",
        highlight=False,
        soft_wrap=True,
    )
    for bound in card.constraints:
        console.print(
            f"  subject to {bound.output} {bound.op} {bound.bound:g} {card.units[bound.output]}",
            highlight=False,
            soft_wrap=True,
        )
    for fidelity in card.fidelities:
        counts = ", ".join(f"{n} {state}" for state, n in progress.counts.get(fidelity, {}).items() if n)
        console.print(f"  {fidelity}: {counts or 'nothing asked yet'}", highlight=False, soft_wrap=True)
    console.print(
        f"  cost {progress.cost:.4g}, {progress.active_seconds:.0f} s of running, worker use "
        f"{worker_use(store, name):.0%}",
        highlight=False,
        soft_wrap=True,
    )
    failures: dict[str, int] = {}
    for evaluation in store.evaluations(name, ["abandoned", "failed"]):
        key = f"{evaluation.failure_class}: {(evaluation.message or '').splitlines()[0] if evaluation.message else ''}"
        failures[key] = failures.get(key, 0) + 1
    for key, n in sorted(failures.items(), key=lambda item: -item[1])[:5]:
        console.print(f"  failed {n} x {key}", highlight=False, soft_wrap=True, markup=False)
    print_model(console, store, name)
    for event in store.events(name, limit=5):
        console.print(
            f"  {event.at:%Y-%m-%d %H:%M:%S} {event.kind}: {event.message}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
