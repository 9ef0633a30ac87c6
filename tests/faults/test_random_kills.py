"""Whatever is killed, whenever: a short, seeded run of the chaos script breaks no invariant (`make chaos` is long)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.timing import HANGS


def test_random_kills_break_no_invariant(tmp_path):
    command = [sys.executable, Path(__file__).with_name("chaos.py"), "--folder", tmp_path, "--seed", "3"]
    run = subprocess.run([*command, "--kills", "8", "--gap", "1.5"], capture_output=True, text=True, timeout=HANGS)
    assert run.returncode == 0, run.stdout + run.stderr
    assert len((tmp_path / "kills.jsonl").read_text().splitlines()) == 8
