"""What can go wrong with the store: each message says what happened, why, and how to mend it."""

from __future__ import annotations


class StoreError(Exception):
    """Any error of the store that a person can act on."""


class DatabaseNotFound(StoreError):
    """The database named does not exist and was not to be created."""


class DatabaseUnreachable(StoreError):
    """The database server did not answer, or refused the connection."""


class CommitUnknown(DatabaseUnreachable):
    """The connection broke while a transaction was being committed: it has happened entirely, or not at all.

    `transaction` is the server's number for it and `checkpoint` the server's last one then, by which
    `theoros.db.transactions.fate` finds out once the server answers again; `result` is what the write returns if it has
    happened.
    """

    def __init__(self, message: str, transaction: int, result: object, checkpoint: str = "") -> None:
        self.transaction, self.result, self.checkpoint = transaction, result, checkpoint
        super().__init__(message)

    def __reduce__(self) -> tuple[type[CommitUnknown], tuple[str, int, object, str]]:
        return type(self), (str(self), self.transaction, self.result, self.checkpoint)


class DatabaseBusy(StoreError):
    """Another process held SQLite's write lock for longer than anyone should."""


class DatabaseFull(DatabaseBusy):
    """The disk of the database has no room left; nothing of the write was kept."""


class NetworkFileSystem(StoreError):
    """SQLite was asked to live on a network file system, where its locks do not hold."""


class StoreReadOnly(StoreError):
    """A write was attempted through a store that was opened for reading."""


class QueryFailed(StoreError):
    """A person's SQL was refused by the database."""


class SchemaTooOld(StoreError):
    """The database was made by an older Theoros and has not been upgraded."""


class SchemaTooNew(StoreError):
    """The database was made by a newer Theoros than this one."""


class CampaignExists(StoreError):
    """A campaign of that name is in the database already."""


class CampaignNotFound(StoreError):
    """The database holds no campaign of that name."""


class CampaignOwned(StoreError):
    """Another orchestrator is running the campaign; its host, process and last heartbeat are attributes."""

    def __init__(self, name: str, host: str, pid: int, heartbeat_age: float) -> None:
        self.name, self.host, self.pid, self.heartbeat_age = name, host, pid, heartbeat_age
        super().__init__(
            f"Campaign '{name}' is being run by process {pid} on {host}, whose last heartbeat was "
            f"{heartbeat_age:.0f} s ago. Two orchestrators would spend the budget twice. "
            f"Stop that process (theoros stop {name}), or wait until its lease has run out."
        )

    def __reduce__(self) -> tuple[type[CampaignOwned], tuple[str, str, int, float]]:
        return type(self), (self.name, self.host, self.pid, self.heartbeat_age)


class OwnershipLost(StoreError):
    """The caller's owner token is no longer the campaign's: another orchestrator took over."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"This process no longer owns campaign '{name}'. Its lease ran out, or it released the campaign, so its "
            f"writes are refused. Stop it; `theoros status {name}` names the owner."
        )

    def __reduce__(self) -> tuple[type[OwnershipLost], tuple[str]]:
        return type(self), (self.name,)


class AttemptNotFound(StoreError):
    """No attempt of this database has that token: the answer belongs to another database."""


class AnswerNotFinite(StoreError):
    """An answer holds NaN or infinity and so is no label; report it as a failed attempt."""


class DuplicateModelVersion(StoreError):
    """The campaign has a model version of that number already; versions are never overwritten."""


class ArtifactNotFound(StoreError):
    """The artifact store holds nothing under that digest."""


class ArtifactCorrupt(StoreError):
    """An artifact's content does not have the digest that it is filed under."""


class TargetNotEmpty(StoreError):
    """A copy was to be written where something is already."""


class CopyDiffers(StoreError):
    """A copy does not hold what its source held, or what its manifest says."""


class RoleRefused(StoreError):
    """A database role cannot be given the rights that were asked for."""


class NothingToExport(StoreError):
    """A campaign holds nothing that the chosen format can express."""
