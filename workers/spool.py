"""Answers made durable before they are reported: one JSON file per answer, written whole or not at all.

A child process writes its answer here and only then says that it is done. Whoever stores the answer in the database
removes the file; what is still here at the next start is an orphan and is taken in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from theoros.workers.messages import Outcome

#: Bytes of a spooled answer; what is larger is not ours (answers have at most 256 MiB).
LARGEST_FILE = 2**29


def write(spool: Path, outcome: Outcome) -> None:
    """Write `outcome` under its token, atomically, and flush it to the disk.

    Raises OSError when the disk is full or can't be written; then no part of the answer is left on it.
    """
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = spool / f"{outcome.token}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(outcome.to_dict(), file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(spool / f"{outcome.token}.json")
    except OSError:
        part.unlink(missing_ok=True)
        raise
    directory = os.open(spool, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_all(spool: Path) -> list[Outcome]:
    """All answers waiting in `spool`, oldest first. A file that can't be read, or is too large to be one, is left where
    it is.

    Other processes may take in and remove answers meanwhile: a file that has just gone is none.
    """
    outcomes = []
    for path in sorted(spool.glob("*.json"), key=_written):
        try:
            if path.stat().st_size > LARGEST_FILE:
                continue
            outcome = Outcome(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if outcome.token == path.stem:
            outcomes.append(outcome)
    return outcomes


def discard(spool: Path, token: str) -> None:
    """Remove the file of `token`, if there is one."""
    (spool / f"{token}.json").unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
