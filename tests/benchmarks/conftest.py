"""Benchmarks are scripts of the repository, not part of the package: they are found from its top."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
