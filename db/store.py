"""The store: a thin face over the database that owns the engine and the transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from sqlalchemy import Connection

from theoros.db import attempts, campaigns, cards, labels, migrate, model_log, ownership, queue, tallies, wide
from theoros.db.artifacts import ArtifactStore, default_artifacts
from theoros.db.engine import open_engine, open_read_only, parse_url, safe_url
from theoros.db.errors import AttemptNotFound, DatabaseNotFound, StoreReadOnly
from theoros.db.ranking import Ranking
from theoros.db.reader import Reader
from theoros.db.records import (
    AnswerRecord,
    CampaignRecord,
    CardRecord,
    Claim,
    DecisionRecord,
    EvaluationRecord,
    FailureRecord,
    ModelVersionRecord,
)
from theoros.db.transactions import Writer

T = TypeVar("T")


class Store(Reader):
    """Everything that Theoros remembers, in SQLite or PostgreSQL, with the same meaning on both.

    **Threads and processes.** A store may be used by many threads at once. On SQLite the writes of one process wait
    for each other in turn (and those of other processes on the file's lock, up to 30 s); on PostgreSQL they run side
    by side. Every method is one transaction: it has happened entirely, and is durable, when it returns, or not at
    all; where a connection that broke leaves that in doubt, it raises `CommitUnknown`, and `Patience` settles the
    doubt. A store must not be shared across a fork: open another.

    **Who may change what.** The token of `acquire` makes its holder the campaign's *owner*, until the lease runs out
    *and* another takes over. Methods with an `owner` argument refuse the write of one who is no longer the owner
    (`OwnershipLost`); without the argument (a person at the command line) they are not fenced. A worker holds the token
    of its attempt, and nothing else; `started`, `complete` and `fail` are its only writes, fenced by that token.

    **Evaluations.** Transitions are compare-and-set, and there are no others::

        queued, failed -> running                    claim      (a new attempt; `failed` not before its retry time)
        running -> done                              complete
        running -> failed | abandoned                fail       (to be retried | never again)
        running -> queued | abandoned                reconcile  (worker lost | lost `max_losses` times: class "poison")
        queued, failed, running -> cancelled         cancel
        queued, failed, abandoned(poison) -> done    complete   (a late answer of a lost attempt that nobody reclaimed)

    `done` and `cancelled` are final. Retries add attempts, never evaluations: a campaign has exactly the evaluations
    that `enqueue` was given, less duplicates. An answer is counted once, whoever reports it and however often.

    **Append-only.** Labels, decisions, model versions, events, cards: never changed. All times are the database's.

    Args:
        url: a path (SQLite) or ``postgresql://user@host/name``.
        read_only: open for reading; every write raises `StoreReadOnly`, and the database refuses it too.
        create: make the database (SQLite file, tables) if there is none; else `DatabaseNotFound`.
        artifacts: where large arrays go: a folder or an fsspec URL. Default: THEOROS_ARTIFACTS, else
            ``<name>.artifacts`` beside the SQLite file, else ``./theoros-artifacts``.
    """

    def __init__(
        self, url: str | Path, *, read_only: bool = False, create: bool = True, artifacts: str | Path | None = None
    ) -> None:
        parsed = parse_url(url)
        self.url = parsed.render_as_string(hide_password=False)
        self.read_only = read_only
        self.artifacts = ArtifactStore(artifacts or default_artifacts(parsed))
        self._engine = open_read_only(parsed) if read_only else open_engine(parsed, create=create)
        self._writer = Writer(self._engine)
        try:
            self._prepare(create and not read_only)
        except BaseException:
            self.close()
            raise

    @property
    def safe_url(self) -> str:
        """The URL without its password, for people and logs."""
        return safe_url(self._engine.url)

    def __repr__(self) -> str:
        return f"Store({self.safe_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._engine.dispose()

    # ------------------------------------------------------------------------------------------------ campaigns

    def create_campaign(
        self, name: str, *, goal: str, spec: Mapping[str, Any], seed: int, control_of: str | None = None
    ) -> CampaignRecord:
        """Make a campaign in state `created`; `CampaignExists` if the name is taken."""
        return self._write(lambda c: campaigns.create(c, name, goal, spec, seed, control_of))

    def set_state(self, name: str, state: str, reason: str | None = None, *, owner: str | None = None) -> None:
        """Change a campaign's state (created, running, paused, finished, failed); `reason` replaces its stop reason."""

        def work(connection: Connection) -> None:
            campaigns.set_state(connection, self._owned(connection, name, owner), state, reason)

        self._write(work)

    def request_stop(self, name: str, mode: Literal["drain", "cancel"]) -> None:
        """Ask the campaign's orchestrator, wherever it runs, to stop; it reads this as `campaign().stop_requested`."""
        self._write(lambda c: campaigns.set_stop(c, campaigns.identify(c, name), mode))

    def clear_stop(self, name: str) -> None:
        """Take back a request to stop."""
        self._write(lambda c: campaigns.set_stop(c, campaigns.identify(c, name), None))

    def add_event(
        self, name: str, kind: str, message: str, data: Mapping[str, Any] | None = None, *, owner: str | None = None
    ) -> None:
        """Append to the campaign's log of events."""
        self._write(lambda c: campaigns.add_event(c, self._owned(c, name, owner), kind, message, data))

    # ------------------------------------------------------------------------------------------------ ownership

    def acquire(
        self,
        name: str,
        *,
        host: str,
        pid: int,
        lease_seconds: float = 30.0,
        pid_is_dead: Callable[[str, int], bool] | None = None,
    ) -> str:
        """Become the campaign's owner; returns the owner's token.

        Takes over from an owner whose lease ran out, or of whom ``pid_is_dead(host, pid)`` says that it is dead; else
        raises `CampaignOwned`. One who takes over calls ``reconcile(name, owner=token, lost_tokens="all")`` next.
        """

        def work(connection: Connection) -> str:
            campaign_id = campaigns.identify(connection, name, lock=True)
            return ownership.acquire(connection, campaign_id, name, host, pid, lease_seconds, pid_is_dead)

        return self._write(work)

    def heartbeat(
        self, name: str, token: str, lease_seconds: float = 30.0, *, attempt_tokens: Sequence[str] = ()
    ) -> list[str]:
        """Extend the owner's lease and those of its attempts at work.

        Returns the attempt tokens that are no longer current: their work may be stopped. `OwnershipLost` if another
        took over.
        """
        return self._write(
            lambda c: ownership.heartbeat(
                c, campaigns.identify(c, name), name, token, lease_seconds, list(attempt_tokens)
            )
        )

    def release(self, name: str, token: str) -> None:
        """Give the campaign up; releasing twice, or after a takeover, does nothing."""
        self._write(lambda c: ownership.release(c, campaigns.identify(c, name), token))

    # ------------------------------------------------------------------------------------------------ the queue

    def enqueue(
        self,
        name: str,
        decisions: Sequence[DecisionRecord],
        *,
        required_outputs: Collection[str],
        owner: str | None = None,
        priority: int = 0,
    ) -> list[EvaluationRecord]:
        """Queue decisions; returns an evaluation for each, in the order given.

        A candidate that the campaign has at that fidelity already, in any state but cancelled, gets its existing
        evaluation. One that any campaign has a label for (same cache key, all `required_outputs`) is `done` at once, at
        no cost. New evaluations are numbered densely from 1.
        """

        def work(connection: Connection) -> list[EvaluationRecord]:
            campaign_id = self._owned(connection, name, owner, lock=True)
            return queue.enqueue(connection, campaign_id, decisions, required_outputs, priority)

        return self._write(work)

    def claim(
        self, name: str, *, worker: str, limit: int = 1, lease_seconds: float = 60.0, owner: str | None = None
    ) -> list[Claim]:
        """Take up to `limit` evaluations to work on: lowest priority number first, then oldest decision."""
        return self.claim_for(name, [worker] * limit, lease_seconds=lease_seconds, owner=owner)

    def claim_for(
        self, name: str, workers: Sequence[str], *, lease_seconds: float = 60.0, owner: str | None = None
    ) -> list[Claim]:
        """`claim` for many workers in one transaction: the first evaluation for the first of them, and so on.

        A worker that is named twice gets two. There are fewer claims than workers when the queue runs out.
        """
        return self._write(lambda c: queue.claim(c, self._owned(c, name, owner), workers, lease_seconds))

    def started(self, token: str, host: str, pid: int) -> bool:
        """A worker says where it runs; False if its attempt is no longer current, so that it need not begin."""
        return self._write(lambda c: attempts.started(c, token, host, pid))

    def complete(self, token: str, answer: AnswerRecord) -> bool:
        """Keep an answer as a label; False if it was counted already or its attempt was fenced out.

        Raises `AnswerNotFinite` for NaN or infinity, and `AttemptNotFound` for a token of another database.
        """
        if self.read_only:
            raise self._refusal()
        stored = [(token, answer, labels.store_large_outputs(answer, self.artifacts))]

        def work(c: Connection) -> bool:
            (counted,) = attempts.complete(c, stored)
            if isinstance(counted, AttemptNotFound):
                raise counted
            return counted

        return self._write(work)

    def complete_many(self, answers: Sequence[tuple[str, AnswerRecord]]) -> list[bool | AttemptNotFound]:
        """`complete` for many answers in one transaction; says for each what `complete` returns or raises.

        Raises `AnswerNotFinite`, before anything is kept, when any of them holds NaN or infinity.
        """
        if self.read_only:
            raise self._refusal()
        stored = [(token, answer, labels.store_large_outputs(answer, self.artifacts)) for token, answer in answers]
        return self._write(lambda c: attempts.complete(c, stored))

    def fail(self, token: str, failure: FailureRecord) -> bool:
        """End an attempt as failed, to be retried or abandoned; False if it is no longer current."""
        return self._write(lambda c: attempts.fail(c, token, failure))

    def cancel(
        self,
        name: str,
        evaluation_ids: Collection[int] | None = None,
        *,
        owner: str | None = None,
        message: str | None = None,
        costs: Mapping[int, float] | None = None,
    ) -> int:
        """Cancel all that waits (None), or those named, running or not; returns how many.

        `costs` are what those that run have cost until now, by evaluation id.
        """

        def work(c: Connection) -> int:
            own = self._owned(c, name, owner)
            named = evaluation_ids is not None
            return len(queue.cancel(c, own, evaluation_ids, running=named, message=message, costs=costs))

        return self._write(work)

    def withdraw(
        self, name: str, evaluation_ids: Collection[int], *, message: str, owner: str | None = None
    ) -> list[int]:
        """Cancel those named that still wait, and say why; returns the ids of those that nobody had begun."""

        def work(c: Connection) -> list[int]:
            return queue.cancel(c, self._owned(c, name, owner), evaluation_ids, running=False, message=message)

        return self._write(work)

    def reconcile(
        self,
        name: str,
        *,
        owner: str | None = None,
        lost_tokens: Collection[str] | Literal["all"] | None = None,
        max_losses: int = 3,
    ) -> list[EvaluationRecord]:
        """Give up lost attempts: expired leases (None), those named, or "all" that run; returns what they were about.

        Their evaluations are queued again; after `max_losses` lost workers one is abandoned as "poison".
        """
        everything = lost_tokens == "all"
        tokens = None if lost_tokens is None or isinstance(lost_tokens, str) else list(lost_tokens)
        return self._write(lambda c: attempts.reconcile(c, self._owned(c, name, owner), tokens, everything, max_losses))

    def keep_tally(self, name: str, ranking: Ranking, *, owner: str | None = None) -> bool:
        """Sum up what has settled since the last tally, if that is much, so that reading need not; see `tallies`.

        Returns whether there was so much that there may be more.
        """
        return self._write(lambda c: tallies.keep(c, self._owned(c, name, owner, lock=True), ranking))

    # ------------------------------------------------------------------------------- model versions, for people

    def add_model_version(self, name: str, record: ModelVersionRecord, *, owner: str | None = None) -> int:
        """Append a model version with its scores, checks and arrays; returns its row's id."""
        if self.read_only:
            raise self._refusal()
        stored = model_log.store_arrays(record, self.artifacts)
        return self._write(lambda c: model_log.add(c, self._owned(c, name, owner), record, stored))

    def add_card(self, name: str, record: CardRecord) -> int:
        """Append a diagnostic of the campaign's model; it changes nothing else, so anybody may. Returns its id."""
        return self._write(lambda c: cards.add(c, campaigns.identify(c, name), record))

    def create_labels_wide(self, name: str) -> str:
        """Make (anew) the SQL view ``labels_wide_<name>`` with a column per parameter and output; returns its name."""
        return self._write(lambda c: wide.create_labels_wide(c, campaigns.identify(c, name, lock=True), name))

    # ------------------------------------------------------------------------------------------------- plumbing

    def _prepare(self, create: bool) -> None:
        if migrate.check(self._engine) is not None:
            return
        if not create:
            raise DatabaseNotFound(
                f"The database {self.safe_url} holds nothing of Theoros yet. It is made by the first `theoros run`. "
                "Check the URL, or run a campaign."
            )
        migrate.upgrade(self._engine)

    def _owned(self, connection: Connection, name: str, owner: str | None, *, lock: bool = False) -> int:
        campaign_id = campaigns.identify(connection, name, lock=lock)
        ownership.require(connection, campaign_id, name, owner)
        return campaign_id

    def _refusal(self) -> StoreReadOnly:
        return StoreReadOnly(
            f"The store {self.safe_url} was opened for reading. Nothing can be written through it. "
            "Open it with Store(url) to write."
        )

    def _write(self, work: Callable[[Connection], T]) -> T:
        # What `work` returns is what the method returns: `CommitUnknown` carries it to whoever settles the doubt.
        if self.read_only:
            raise self._refusal()
        return self._writer(work)
