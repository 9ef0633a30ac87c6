"""The state of campaigns, from the database alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from theoros.db import Store, overview
from theoros.db.pulse import Pulse
from theoros.db.records import Progress
from theoros.orchestrator.gates import gate_counts
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.report.console import headed
from theoros.orchestrator.report.final import print_model

if TYPE_CHECKING:
    import pandas as pd


#: States of evaluations in the order in which they are shown.
STATES = ("done", "running", "queued", "failed", "abandoned", "cancelled")

#: How the columns of `status_table` are shown: what was done, and how it goes now.
DONE = ("campaign", "goal", "state", "evaluations", "cost", "failures")
NOW = ("campaign", "at work", "labels, 1 min", "labels, 1 h", "queue age", "worker use", "s per decision")


def status_table(store: Store) -> pd.DataFrame:
    """One row per campaign, at a cost that does not grow with its history.

    ``evaluations`` by state; ``cost``; ``failures``: attempts that failed, by class; ``at work``: workers that have an
    evaluation now; ``labels, 1 min`` and ``labels, 1 h``: of the last minute and hour; ``queue age``: seconds that the
    oldest decision has waited for a worker, NaN when none waits; ``worker use``: busy over available time, lately;
    ``s per decision``: the median over the last 1,000 evaluations. `theoros.db.pulse` says what lately is.
    """
    import pandas as pd

    table = pd.DataFrame(status_rows(store), columns=[*DONE, *NOW[1:]])
    table.index = pd.RangeIndex(1, len(table) + 1, name="")
    return table


def status_rows(store: Store, names: Sequence[str] = ()) -> list[dict[str, object]]:
    """The rows of `status_table`, or those of the campaigns that are named; raises as `Store.campaign` does."""
    rows: list[dict[str, object]] = []
    for record in [store.campaign(name) for name in names] if names else store.campaigns():
        card = scorecard(store, record.name)
        progress, pulse = store.progress(record.name, card.cost_table), overview.pulse(store, record.name)
        rows.append(
            {
                "campaign": record.name,
                "goal": card.wishes,
                "state": record.state,
                "evaluations": _counts(progress),
                "cost": round(float(progress.cost), 2),
                "failures": _failures(pulse),
                "at work": pulse.working,
                "labels, 1 min": pulse.last_minute,
                "labels, 1 h": pulse.last_hour,
                "queue age": math.nan if pulse.queue_age is None else round(pulse.queue_age, 1),
                "worker use": round(pulse.worker_use, 3),
                "s per decision": pulse.decision_seconds,
            }
        )
    return rows


def print_campaign(console: Console, store: Store, name: str) -> None:
    """A campaign's question, progress, pace, failures by class, model and last events."""
    record, card = store.campaign(name), scorecard(store, name)
    progress, pulse = store.progress(name, card.cost_table), overview.pulse(store, name)
    reason = f" ({record.stop_reason})" if record.stop_reason else ""
    console.print(headed(name, f": {card.wishes}; {record.state}{reason}"), soft_wrap=True)
    lines = [f"subject to {c.output} {c.op} {c.bound:g} {card.units[c.output]}" for c in card.constraints]
    for fidelity in card.fidelities:
        counts = ", ".join(f"{n} {state}" for state, n in progress.counts.get(fidelity, {}).items() if n)
        lines.append(f"{fidelity}: {counts or 'nothing asked yet'}")
    lines.append(f"cost {progress.cost:.4g}, {progress.active_seconds:.0f} s of running")
    lines.append(_pace(pulse))
    for failure, n in sorted(pulse.failures.items(), key=lambda item: -item[1])[:5]:
        example = pulse.examples.get(failure, "").partition("\n")[0]
        lines.append(f"failed {n} x {failure}" + (f", lately: {example}" if example else ""))
    for gate, reasons in gate_counts(store, name).items():
        most = ", ".join(f"{n} x {reason}" for reason, n in list(reasons.items())[:3])
        lines.append(f"gate {gate} turned away {sum(reasons.values())}: {most}")
    lines += _proposers(store, name)
    for line in lines:
        console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)
    print_model(console, store, name)
    for event in store.events(name, limit=5):
        console.print(
            f"  {event.at:%Y-%m-%d %H:%M:%S} {event.kind}: {event.message}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _proposers(store: Store, name: str) -> list[str]:
    """A line for each proposer: what it made, in how long, what of it was asked, and what it promised."""
    lines = []
    row: Any
    for row in store.proposers(name).itertuples(index=False):
        line = f"{row.proposer}: {row.decisions} asked, {row.labels} labelled"
        if row.pools:
            line += f", of {int(row.proposals)} proposals in {row.seconds:.3g} CPU s"
            if row.mean_promise is not None and row.mean_promise == row.mean_promise:
                line += f", mean promise {row.mean_promise:.2f}"
        lines.append(line)
    return lines


def _pace(pulse: Pulse) -> str:
    facts = [
        f"{pulse.working} workers at it",
        f"{pulse.last_minute} labels in the last minute, {pulse.last_hour} in the last hour",
    ]
    if pulse.queue_age is not None:
        facts.append(f"the oldest decision in the queue is {pulse.queue_age:.1f} s old")
    if pulse.worker_use == pulse.worker_use:
        facts.append(f"worker use {pulse.worker_use:.0%}")
    if pulse.decision_seconds == pulse.decision_seconds:
        facts.append(f"{pulse.decision_seconds:.3g} s a decision")
    return "; ".join(facts)


def _counts(progress: Progress) -> str:
    return ", ".join(f"{n} {state}" for state in STATES if (n := progress.total(state)))


def _failures(pulse: Pulse) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(pulse.failures.items(), key=lambda item: -item[1]))
