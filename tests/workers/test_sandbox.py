"""A sandbox gives an outcome for whatever an oracle does, and leaves nothing behind."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.workers.conftest import request
from theoros.oracles import Resources
from theoros.oracles.reference import OracleReference
from theoros.workers import spool
from theoros.workers.sandbox import OUTPUT_TAIL, OracleDidNotStart, Sandbox


def gone(pid: int, seconds: float = 60.0) -> bool:
    """Whether a process has ended (a zombie has) within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_an_answer_comes_back_with_output_and_usage(make_sandbox):
    outcome = make_sandbox().evaluate(request("answer", note="a"))
    assert outcome.ok
    assert outcome.values == {"value": 1.5}
    assert outcome.details == {"note": "a"}
    assert "hello from the oracle" in outcome.stdout
    assert "a warning" in outcome.stderr
    assert outcome.wall_seconds > 0
    assert outcome.max_rss > 2**20


def test_an_answer_is_on_disk_before_it_is_reported(make_sandbox, tmp_path):
    outcome = make_sandbox().evaluate(request("answer", token="abc"))
    (spooled,) = spool.read_all(tmp_path / "spool")
    assert spooled.token == "abc"
    assert spooled.values == outcome.values
    spool.discard(tmp_path / "spool", "abc")
    assert spool.read_all(tmp_path / "spool") == []


def test_a_half_written_answer_is_no_answer(tmp_path):
    (tmp_path / "x.part").write_text('{"token": "x"')
    (tmp_path / "y.json").write_text('{"token": "y"')
    assert spool.read_all(tmp_path) == []


def test_the_child_is_reused_and_isolation_gives_a_fresh_one(make_sandbox):
    warm, fresh = make_sandbox(), make_sandbox(isolate=True)
    assert len({warm.evaluate(request("pid")).values["value"] for _ in range(3)}) == 1
    assert len({fresh.evaluate(request("pid")).values["value"] for _ in range(2)}) == 2


@pytest.mark.parametrize(
    ("behaviour", "failure_class"),
    [
        ("invalid", "invalid_candidate"),
        ("not_converged", "not_converged"),
        ("raise", "oracle_error"),
        ("nan", "bad_answer"),
        ("missing", "bad_answer"),
        ("extra", "bad_answer"),
        ("shape", "bad_answer"),
        ("bad_details", "oracle_error"),
        ("huge", "bad_answer"),
        ("kill_itself", "crash"),
        ("segfault", "crash"),
        ("exit", "crash"),
    ],
)
def test_every_failure_has_its_class_and_the_next_evaluation_works(make_sandbox, behaviour, failure_class, tmp_path):
    sandbox = make_sandbox()
    outcome = sandbox.evaluate(request(behaviour))
    assert outcome.failure_class == failure_class
    assert outcome.message
    assert spool.read_all(tmp_path / "spool") == []
    assert sandbox.evaluate(request("answer")).ok


@pytest.mark.parametrize("behaviour", ["hang", "hang_in_c"])
def test_a_deadline_ends_what_ignores_signals(make_sandbox, behaviour):
    sandbox = make_sandbox(timeout=1)
    started = time.monotonic()
    outcome = sandbox.evaluate(request(behaviour))
    assert outcome.failure_class == "timeout"
    assert "deadline of 1 s" in outcome.message
    assert time.monotonic() - started < 15
    assert gone(outcome.pid)
    assert sandbox.evaluate(request("answer")).ok


def test_a_memory_limit_ends_what_grows(make_sandbox):
    outcome = make_sandbox(memory=600 * 2**20).evaluate(request("eat_memory"))
    assert outcome.failure_class == "memory"


def test_a_request_may_have_a_memory_limit_of_its_own_and_the_next_has_the_usual_one(make_sandbox):
    sandbox = make_sandbox(memory=600 * 2**20)
    assert sandbox.evaluate(request("hungry")).failure_class == "memory"
    assert sandbox.evaluate(replace(request("hungry"), memory=1200 * 2**20)).ok
    assert sandbox.evaluate(request("hungry")).failure_class == "memory"
    assert sandbox.evaluate(request("answer")).ok


def test_with_a_full_disk_an_answer_is_reported_and_leaves_no_part_of_it(make_sandbox, tmp_path):
    outcome = make_sandbox().evaluate(request("disk_full"))
    assert outcome.ok
    assert "No space left" in outcome.unspooled
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_gigabyte_of_output_is_neither_kept_nor_waited_for(make_sandbox):
    outcome = make_sandbox().evaluate(request("print"))
    assert outcome.ok
    assert len(outcome.stdout) <= OUTPUT_TAIL
    assert outcome.stdout.endswith("the end\n")


@pytest.mark.parametrize("behaviour", ["fork", "escape"])
def test_grandchildren_die_with_their_evaluation(make_sandbox, behaviour, tmp_path, monkeypatch):
    monkeypatch.setenv("NAUGHTY_PIDS", str(tmp_path / "pid"))
    assert make_sandbox(timeout=2).evaluate(request(behaviour)).failure_class == "timeout"
    assert gone(int((tmp_path / "pid").read_text()))


def test_scratch_is_a_folder_of_its_own_and_is_removed(make_sandbox):
    outcome = make_sandbox().evaluate(request("scratch"))
    assert outcome.ok
    assert not Path(outcome.details["folder"]).exists()


def test_a_running_evaluation_can_be_cancelled_from_another_thread(make_sandbox):
    sandbox = make_sandbox(timeout=60)
    sandbox.start()
    timer = threading.Timer(0.5, sandbox.cancel)
    timer.start()
    outcome = sandbox.evaluate(request("hang"))
    assert outcome.failure_class == "cancelled"
    assert outcome.wall_seconds < 30


def test_the_child_dies_with_the_process_that_started_it(tmp_path):
    """Even when that one is killed so hard that it can't clean up."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        reference = OracleReference("naughty:Naughty", search_path=str(Path(__file__).parent))
        sandbox = Sandbox(reference.to_dict(), Resources(), tmp_path)
        sandbox.start()
        os.write(writer, str(sandbox._child.pid).encode())
        os.kill(os.getpid(), 9)
    child = int(os.read(reader, 32))
    os.waitpid(pid, 0)
    assert gone(child)


def test_an_oracle_that_cannot_be_built_says_why(tmp_path):
    reference = OracleReference("naughty:Absent", search_path=str(Path(__file__).parent))
    with pytest.raises(OracleDidNotStart, match="Absent"):
        Sandbox(reference.to_dict(), Resources(), tmp_path).start()
