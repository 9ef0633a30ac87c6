"""The journal of a session: one JSON object a line, for whoever collects logs.

Every line has ``time`` (UTC, ISO 8601), ``level``, ``campaign``, ``event``, ``evaluation`` (its id in the database),
``sequence``, ``worker`` and ``message``, null where there is none; some events have more: see docs/operations.md.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import logging.handlers
import math
import os
import re
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, quote_plus

from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    AttemptFailed,
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    Exhausted,
    ModelUpdated,
    Notice,
    Started,
    StopRequested,
    Withdrawn,
)

if TYPE_CHECKING:
    from theoros.orchestrator.session import Companion

#: Longer texts are cut: an oracle may put anything into its message.
MOST_CHARACTERS = 4000
#: A shorter password is hidden only where it stands in a URL: hiding it everywhere would show what it is.
_SHORTEST_SECRET = 4
# Repetitions have bounds, so that no text takes long to look through.
_IN_URL = re.compile(r"(://[^\s/@:]{0,200}):\S{0,1000}@")
_AS_SETTING = re.compile(r"(?i)((?:pass|secret|token)\w{0,20}\s{0,3}=\s{0,3})('[^']*'|\"[^\"]*\"|[^\s&;,]+)")
_COMMON = ("evaluation", "sequence", "worker")


@contextlib.contextmanager
def keep_journal(path: Path | None, campaign: str, *, database: str = "") -> Iterator[tuple[Companion, ...]]:
    """Keep a journal of one session for the length of a block; yields the companions that the session needs for it.

    The file is made with mode 0600 if it is not there, and appended to. Warnings of Theoros's own loggers go there
    too, and to standard error as before; passwords do not, least of all that of `database` (a path or URL). A file
    that can't be written any more is told once on standard error, and the campaign goes on. Without a `path` nothing
    is kept.

    Raises OSError when the file can't be opened.
    """
    if path is None:
        yield ()
        return
    handler = _File(path)
    handler.setFormatter(_Lines(campaign, secrets_of(database)))
    theoros = logging.getLogger("theoros")
    handlers: list[logging.Handler] = [handler]
    if not theoros.hasHandlers() and logging.lastResort is not None:
        handlers.append(logging.lastResort)  # which serves only who has no handler at all
    try:
        for own in handlers:
            theoros.addHandler(own)
        yield (lambda bus, gateway, plan: Journal(bus, handler),)
        write(handler, "session_ended")
    except BaseException as error:
        write(handler, "session_failed", f"{type(error).__name__}: {error}", level=logging.ERROR)
        raise
    finally:
        for own in handlers:
            theoros.removeHandler(own)
        handler.close()


class Journal(Agent):
    """Writes down what it hears, as it is published, so that nothing is missing when a session ends or is killed."""

    handles: ClassVar = (
        AttemptFailed,
        Started,
        Decided,
        EvaluationStarted,
        EvaluationEnded,
        ModelUpdated,
        Notice,
        Exhausted,
        StopRequested,
        Withdrawn,
    )

    def __init__(self, bus: Bus, handler: logging.Handler) -> None:
        super().__init__(bus)
        self._handler = handler
        self._running: dict[int, tuple[int | None, str]] = {}  # sequence -> evaluation id, worker
        self._version = 0

    def deliver(self, message: Any) -> None:
        """Write a message down at once."""
        match message:
            case Started():
                self._write("session_started")
            case Decided(evaluations=evaluations):
                for made in evaluations:
                    text = f"{made.candidate.text} at {made.fidelity}"
                    self._write("evaluation_decided", text, evaluation=made.evaluation_id, sequence=made.sequence)
            case EvaluationStarted(sequence=sequence, evaluation_id=key, worker=worker):
                self._running[sequence] = key, worker
                self._write("evaluation_started", evaluation=key, sequence=sequence, worker=worker or None)
            case AttemptFailed(sequence=sequence, evaluation_id=key, failure_class=failure, message=text):
                _, worker = self._running.pop(sequence, (None, ""))
                fields = {"evaluation": key, "sequence": sequence, "worker": worker or None}
                self._write("attempt_failed", text, logging.WARNING, **fields, outcome=failure, seconds=message.seconds)
            case Withdrawn(sequence=sequence, evaluation_id=key, reason=reason):
                self._write("evaluation_withdrawn", reason, evaluation=key, sequence=sequence)
            case EvaluationEnded():
                self._ended(message)
            case ModelUpdated(version=version, belief=belief) if belief is not None and version != self._version:
                self._version = version
                text = f"learned {len(message.sequences)} labels"
                self._write("model_updated", text, version=version, seconds=message.seconds, error=message.error)
            case Notice(kind=kind, message=text):
                self._write(kind, text, logging.WARNING)
            case Exhausted(reason=reason):
                self._write("exhausted", reason)
            case StopRequested(reason=reason, cancel=cancel, finished=finished):
                self._write("stop_requested", reason, cancel=cancel, finished=finished)

    def _ended(self, message: EvaluationEnded) -> None:
        key, worker = self._running.pop(message.sequence, (None, ""))
        self._write(
            "evaluation_ended",
            level=logging.INFO if message.failure_class is None else logging.WARNING,
            evaluation=key if message.evaluation_id is None else message.evaluation_id,
            sequence=message.sequence,
            worker=worker or None,
            outcome=message.failure_class or "done",
            seconds=message.seconds,
        )

    def _write(self, event: str, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
        write(self._handler, event, message, level, **fields)


def write(handler: logging.Handler, event: str, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
    """Give `handler` a record of an event.

    It goes by no logger: an event is for the journal, and neither levels nor other handlers have a say.
    """
    record = {"name": __name__, "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
    handler.handle(logging.makeLogRecord(record | {"event": event, "fields": fields}))


def secrets_of(database: str) -> tuple[str, ...]:
    """The password in a database's URL, as it may be written; nothing for a path."""
    from theoros.db.engine import parse_url

    password = parse_url(database).password if database else None
    if not password or len(password) < _SHORTEST_SECRET:
        return ()
    return tuple({password, quote(password, safe=""), quote_plus(password)})


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """`text` without passwords: in URLs, in ``password=...`` and the like, and `secrets` wherever they stand."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _AS_SETTING.sub(r"\1***", _IN_URL.sub(r"\1:***@", text))


class _Lines(logging.Formatter):
    """Records as JSON objects, each on a line of its own whatever its texts hold."""

    def __init__(self, campaign: str, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._campaign, self._secrets = campaign, secrets

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "campaign": self._campaign,
            "event": getattr(record, "event", "log"),
            **{name: fields.pop(name, None) for name in _COMMON},
            "message": self._text(record.getMessage()) or None,
            **{name: _number(value) for name, value in fields.items() if value is not None},
        }
        if line["event"] == "log":
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self._text(self.formatException(record.exc_info))
        return json.dumps(line, allow_nan=False)

    def _text(self, text: str) -> str:
        return redact(text, self._secrets)[:MOST_CHARACTERS]


def _number(value: Any) -> Any:
    """JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_private(path: Path) -> TextIOWrapper:
    """Open a file to append to; if there is none it is made so that only its owner can read it."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "a", encoding="ascii")


class _File(logging.handlers.WatchedFileHandler):
    """Appends to a file that only its owner can read, follows it when it is rotated, and survives a full disk."""

    def __init__(self, path: Path) -> None:
        self._told = False
        super().__init__(path, encoding="ascii")
        self.setLevel(logging.WARNING)

    def _open(self) -> TextIOWrapper:
        return open_private(Path(self.baseFilename))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; what prevents it is no reason to end a campaign."""
        try:
            super().emit(record)
        except OSError:  # its folder has gone
            self.handleError(record)

    def close(self) -> None:
        """Close the file; what a full disk did not take is lost."""
        try:
            super().close()
        except OSError:
            self._tell()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's own name)
        """Say what is wrong."""
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            why = sys.exc_info()[1]
            print(f"theoros: {self.baseFilename} can't be written: {why}. The campaign goes on.", file=sys.stderr)
