"""A content-addressed store of large arrays: a folder, or anything else that fsspec reaches (``s3://...``).

An artifact's name is the SHA-256 digest of its content, so nothing is ever overwritten and what is read can be checked.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import URL

from theoros.db.errors import ArtifactCorrupt, ArtifactNotFound

NPY = "application/x-npy"


class ArtifactStore:
    """Artifacts under one URL. Safe for many threads and processes: every write is whole or absent.

    A local folder is made for its owner alone (mode 0700). Who opens it to others opens what is stored from then on:
    artifacts are as readable as the folder that they lie in.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self._fs: Any = None
        self._root = ""

    def __repr__(self) -> str:
        return f"ArtifactStore({self.safe_url!r})"

    @property
    def safe_url(self) -> str:
        """The URL for people and logs, without what could be a password."""
        parts = urlsplit(self.url)
        if not parts.scheme or not parts.netloc:
            return self.url
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    def put(self, content: bytes, media_type: str = "application/octet-stream") -> str:
        """Keep `content`, durable before this returns; returns its digest."""
        digest = hashlib.sha256(content).hexdigest()
        fs, path = self._open(), self._path(digest)
        if fs.exists(path):
            return digest
        if self._local:
            self._put_local(Path(path), content)
            return digest
        fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        temporary = _part(path)
        with fs.open(temporary, "wb") as file:
            file.write(content)
        fs.mv(temporary, path)
        return digest

    def _put_local(self, path: Path, content: bytes) -> None:
        root = Path(self._root)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        allowed = root.stat().st_mode & 0o777
        path.parent.mkdir(mode=allowed, exist_ok=True)
        temporary = Path(_part(str(path)))
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, allowed & 0o666)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)  # atomic: a reader sees the whole artifact or none
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)

    def has(self, digest: str) -> bool:
        """Whether there is an artifact under `digest`; its content is not looked at."""
        path = self._path(digest)
        return bool(self._open().exists(path))

    def get(self, digest: str) -> bytes:
        """The content under `digest`, checked against it."""
        path = self._path(digest)
        try:
            content: bytes = self._open().cat_file(path)
        except FileNotFoundError:
            raise ArtifactNotFound(
                f"The artifact store {self.safe_url} has no artifact {digest}. It was moved, or the database was "
                "copied without it. Copy the artifact folder beside the database, or set THEOROS_ARTIFACTS."
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactCorrupt(
                f"The artifact {path} is not what was stored: its content does not have the digest it is named by. The "
                "file was changed or damaged. Restore it from a backup, or ask the oracle again."
            )
        return content

    def put_array(self, array: NDArray[np.float64]) -> tuple[str, int]:
        """Keep an array in NumPy's own format, without objects; returns its digest and size in bytes."""
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        content = buffer.getvalue()
        return self.put(content, NPY), len(content)

    def get_array(self, digest: str) -> NDArray[np.float64]:
        """The array under `digest`; content that would need pickle is refused."""
        array: NDArray[np.float64] = np.load(io.BytesIO(self.get(digest)), allow_pickle=False)
        return array

    @property
    def _local(self) -> bool:
        return bool(self._fs.protocol == "file" or "file" in self._fs.protocol)

    def _open(self) -> Any:
        if self._fs is None:
            import fsspec

            self._fs, root = fsspec.core.url_to_fs(self.url)
            self._root = str(root).rstrip("/")
        return self._fs

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ArtifactNotFound(
                f"{digest!r} is no artifact digest. A digest is 64 hexadecimal digits (SHA-256). "
                "Take it from label_outputs.digest."
            )
        self._open()
        return f"{self._root}/{digest[:2]}/{digest}"


def _part(path: str) -> str:
    return f"{path}.{secrets.token_hex(8)}.part"


def default_artifacts(url: URL) -> str:
    """Where a database's artifacts lie: THEOROS_ARTIFACTS, else beside a SQLite file, else ./theoros-artifacts."""
    chosen = os.environ.get("THEOROS_ARTIFACTS")
    if chosen:
        return chosen
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or "").with_suffix(".artifacts"))
    return str(Path("theoros-artifacts").absolute())


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
