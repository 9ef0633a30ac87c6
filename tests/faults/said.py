"""What a process has said when it ends; one that hangs has to say where it stands."""

from __future__ import annotations

import signal
import subprocess

from tests.timing import HANGS

#: Seconds for the stacks of all threads to be written.
_LAST_WORDS = 30.0


def said(process: subprocess.Popen[str], patience: float = HANGS) -> str:
    """Standard output, and standard error where it has a pipe of its own, when the process has ended.

    Raises AssertionError with these, and with the stacks of its threads (Python's PYTHONFAULTHANDLER, which is set for
    all tests, writes them), when it has not ended after `patience` seconds.
    """
    try:
        return _joined(*process.communicate(timeout=patience))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
    try:
        words = _joined(*process.communicate(timeout=_LAST_WORDS))
    except subprocess.TimeoutExpired as late:  # a process of its own still holds the pipes
        words = _joined(late.output, late.stderr)
    raise AssertionError(f"it had not ended after {patience:g} s, and said:\n{words}")


def _joined(*parts: str | bytes | None) -> str:
    return "".join(part.decode(errors="replace") if isinstance(part, bytes) else part or "" for part in parts)
