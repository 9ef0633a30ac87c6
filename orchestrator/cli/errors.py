"""Errors as people see them: one message on standard error, and an exit code.

2: something that was asked for is wrong (a campaign file, a name); 1: it was right and could not be done.
"""

from __future__ import annotations

import sys


def report(error: Exception) -> int:
    """Print an error that a person can mend and return its exit code; raise any other again, with its traceback."""
    code = exit_code(error)
    if code is None:
        raise error
    print(f"theoros: {error}", file=sys.stderr)
    return code


def exit_code(error: Exception) -> int | None:
    """2 for mistakes in what was asked, 1 for what could not be done, None for a bug of ours."""
    from theoros.db.errors import CampaignNotFound, DatabaseNotFound, NothingToExport, QueryFailed, StoreError
    from theoros.orchestrator.spec.errors import SpecError
    from theoros.workers.cluster import ClusterError

    if isinstance(
        error, SpecError | CampaignNotFound | DatabaseNotFound | NothingToExport | QueryFailed | ClusterError
    ):
        return 2
    return 1 if isinstance(error, StoreError) else None
