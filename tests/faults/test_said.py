"""A test that waits for a process which hangs says where that stood."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.said import said

ASLEEP = """
import time
def waits_for_godot():
    time.sleep(60)
print("it begins", flush=True)
waits_for_godot()
"""


def python(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_hangs_tells_where_it_stands_and_what_ends_what_it_said():
    with pytest.raises(AssertionError, match=r"(?s)after 3 s.*it begins.*waits_for_godot"):
        said(python(ASLEEP), patience=3.0)
    assert said(python("import sys; print('out'); print('err', file=sys.stderr)")) == "out\nerr\n"
