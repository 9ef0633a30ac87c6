"""The folder on disk for everything that could be made again: relaxed geometries, trained weights."""

from __future__ import annotations

import os
from pathlib import Path

#: The environment variable that names the folder.
CACHE = "THEOROS_CACHE"


def cache_folder() -> Path:
    """``$THEOROS_CACHE``, or ``theoros`` in the user's cache folder."""
    named = os.environ.get(CACHE)
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named) if named else Path(home).expanduser() / "theoros"
