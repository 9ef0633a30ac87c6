"""A small campaign that is answered by hand, and how it is answered to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theoros.orchestrator.asktell import NothingToAsk
from theoros.orchestrator.campaign import Campaign

SPEC: dict[str, Any] = {
    "campaign": "bench",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin"}},
    "budget": {"labels": 12},
    "seed": 4,
}


def answer_all(campaign: Campaign, answer: Callable[[int, Mapping[str, Any]], float | Exception]) -> None:
    """Answer until the budget is spent; `answer` is told how many were asked before, and the parameters."""
    number = 0
    try:
        while True:
            asked = campaign.ask()
            campaign.tell(asked, answer(number, asked.parameters))
            number += 1
    except NothingToAsk:
        pass
