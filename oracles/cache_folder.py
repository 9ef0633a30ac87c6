"""The folder on disk for everything that could be made again: relaxed geometries, trained weights."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

#: The environment variable that names the folder.
CACHE = "THEOROS_CACHE"
#: What is left by `trim`, over the limit: so it isn't called again for the next file.
KEPT = 0.9
#: Files take whole blocks of a disk, of so many bytes on nearly all.
_BLOCK = 4096


def cache_folder() -> Path:
    """``$THEOROS_CACHE``, or ``theoros`` in the user's cache folder."""
    named = os.environ.get(CACHE)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named) if named else Path(home).expanduser() / "theoros"


def used(path: Path) -> None:
    """Mark a file as just used, which file systems don't reliably do when it is read."""
    with contextlib.suppress(OSError):
        os.utime(path)


def trim(folder: Path, limit: int) -> None:
    """Where the files directly in `folder` take more than `limit` bytes, remove those used longest ago, to nine tenths.

    Any number of processes may do so, read and write at once: each removes what was oldest, and what another one has
    removed already counts as removed. A reader that comes too late finds no file, as if there had never been one.
    """
    files = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    files.append((facts.st_mtime_ns, -(-facts.st_size // _BLOCK) * _BLOCK, entry.path))
    total = sum(size for _, size, _ in files)
    if total <= limit:
        return
    for _, size, path in sorted(files):
        if total <= KEPT * limit:
            return
        with contextlib.suppress(OSError):
            Path(path).unlink()
        total -= size
