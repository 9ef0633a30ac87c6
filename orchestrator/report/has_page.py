"""Which campaigns have a report that is a page: asked of every campaign, before what draws one is loaded."""

from __future__ import annotations

from theoros.db import Store
from theoros.orchestrator.report.best import scorecard


def has_page(store: Store, campaign: str) -> bool:
    """Whether the campaign asks about molecules, or is to learn, and has a label."""
    done = store.evaluations(campaign, ["done"])
    about_molecules = any(e.candidate.kind == "molecule" for e in done)
    return about_molecules or (bool(done) and scorecard(store, campaign).goal == "learn")
