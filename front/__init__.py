"""Theoros: an active-learning engine for scientists whose samples are expensive to label.

This is the front door: it re-exports what users write most often and imports nothing heavy until it is used. The rooms
of the house are `theoros.oracles`, `theoros.models`, `theoros.db`, `theoros.workers` and `theoros.orchestrator`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theoros.db import Store
    from theoros.oracles import (
        Answer,
        Candidate,
        Categorical,
        Fidelity,
        Integer,
        Library,
        Molecules,
        Ordinal,
        Parameters,
        Quantity,
        Real,
        Resources,
        When,
        oracle,
    )
    from theoros.orchestrator.campaign import Campaign

_HOME = {
    "Campaign": "theoros.orchestrator.campaign",
    "Store": "theoros.db",
    **dict.fromkeys(
        (
            "Answer", "Candidate", "Categorical", "Fidelity", "Integer", "Library", "Molecules", "Ordinal",
            "Parameters", "Quantity", "Real", "Resources", "When", "oracle",
        ),
        "theoros.oracles",
    ),
}  # fmt: skip

__all__ = [
    "Answer",
    "Campaign",
    "Candidate",
    "Categorical",
    "Fidelity",
    "Integer",
    "Library",
    "Molecules",
    "Ordinal",
    "Parameters",
    "Quantity",
    "Real",
    "Resources",
    "Store",
    "When",
    "oracle",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
