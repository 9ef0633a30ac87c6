"""What the space and the gates before the oracle have turned away."""

from __future__ import annotations

from collections.abc import Mapping

from theoros.orchestrator.report.html import Html, table


def gates_table(counts: Mapping[str, Mapping[str, int]]) -> Html:
    """Rejections by gate and reason, in the order of the gates, the most frequent reason of each first."""
    rows = [
        (gate, reason, str(n))
        for gate, reasons in counts.items()
        for reason, n in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    return table(("gate", "reason", "rejected"), rows, numeric=("rejected",))
