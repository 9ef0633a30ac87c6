"""The journal tells the story of every evaluation, in lines that any collector of logs can read, and no secrets."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from theoros.orchestrator.agents.bus import Bus
from theoros.orchestrator.agents.messages import ModelUpdated, Notice, Started
from theoros.orchestrator.campaign import Campaign
from theoros.orchestrator.journal import MOST_CHARACTERS, keep_journal, redact

THEOROS = Path(sys.executable).parent / "theoros"
PASSWORD = "correct horse/battery"
WRITTEN = "correct%20horse%2Fbattery"
SPEC: dict[str, Any] = {
    "campaign": "kept",
    "question": {"minimize": "value"},
    "oracle": {"synthetic": {"function": "Branin", "failure_rate": 0.3}},
    "budget": {"labels": 12},
    "workers": {"slots": 2},
    "retries": {"not_converged": 1, "backoff": 0.1},
    "seed": 4,
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def kept(tmp_path_factory, local_ray, new_postgres_database) -> SimpleNamespace:
    """A campaign on PostgreSQL with a password in its URL, and its journal, in which somebody logs that URL."""
    path = tmp_path_factory.mktemp("journal") / "kept.log"
    url = new_postgres_database().replace("postgresql://postgres:@", f"postgresql://postgres:{WRITTEN}@")
    assert WRITTEN in url
    campaign = Campaign(SPEC, url)
    with keep_journal(path, "kept", database=campaign.store.url) as companions:
        assert campaign.run(companions=companions).finished
        logging.getLogger("theoros.db").warning("%s is away; it was opened with %r", url, PASSWORD)
        logging.getLogger("theoros.db").info("of no interest")
        logging.getLogger("elsewhere").warning("of no concern")
    logging.getLogger("theoros.db").warning("too late")
    yield SimpleNamespace(path=path, lines=lines(path), campaign=campaign, url=url)
    campaign.close()


def test_every_line_has_the_common_fields(kept):
    for line in kept.lines:
        assert list(line)[:8] == [
            "time", "level", "campaign", "event", "evaluation", "sequence", "worker", "message",
        ]  # fmt: skip
        assert dt.datetime.fromisoformat(line["time"]).utcoffset() == dt.timedelta(0)
        assert line["campaign"] == "kept"
    times = [line["time"] for line in kept.lines]
    assert times == sorted(times)
    assert kept.lines[0]["event"] == "session_started"
    assert kept.lines[-1]["event"] == "session_ended"


def test_every_evaluation_is_told_from_its_decision_to_its_end(kept):
    store = kept.campaign.store
    attempts = store.query("SELECT evaluation_id, worker FROM attempts ORDER BY id")
    for evaluation in store.evaluations("kept"):
        own = [line for line in kept.lines if line["evaluation"] == evaluation.evaluation_id]
        tries = attempts[attempts["evaluation_id"] == evaluation.evaluation_id]
        events = [line["event"] for line in own]
        if evaluation.state == "cancelled":
            assert events == ["evaluation_decided", "evaluation_withdrawn"]
            continue
        again = ["evaluation_started", "attempt_failed"] * (len(tries) - 1)
        assert events == ["evaluation_decided", *again, "evaluation_started", "evaluation_ended"]
        assert {line["sequence"] for line in own} == {evaluation.sequence}
        assert evaluation.candidate.text in own[0]["message"]
        assert [line["worker"] for line in own if line["event"] == "evaluation_started"] == list(tries["worker"])
        assert own[-1]["worker"] == own[-2]["worker"]
        assert own[-1]["outcome"] == (evaluation.failure_class or "done")
        assert own[-1]["level"] == ("INFO" if evaluation.state == "done" else "WARNING")
        assert own[-1]["seconds"] >= 0
    assert Counter(line["event"] for line in kept.lines)["evaluation_ended"] == 12


def test_models_and_the_reason_of_the_end_are_told(kept):
    told = [line["version"] for line in kept.lines if line["event"] == "model_updated"]
    assert told == [version.number for version in kept.campaign.store.model_versions("kept")]
    (stop,) = [line for line in kept.lines if line["event"] == "stop_requested"]
    assert stop["message"] == kept.campaign.store.campaign("kept").stop_reason
    assert stop["finished"]


def test_warnings_of_theoros_and_of_nobody_else_are_in_it_while_the_session_runs(kept):
    (warning,) = [line for line in kept.lines if line["event"] == "log"]
    assert warning["level"] == "WARNING"
    assert warning["logger"] == "theoros.db"
    assert not logging.getLogger("theoros").handlers


def test_the_file_is_for_its_owner_alone_and_holds_no_password(kept):
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    text = kept.path.read_text()
    assert "postgresql://postgres:***@" in text
    for secret in (PASSWORD, WRITTEN, "battery"):
        assert secret not in text


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:SECRET@host/db",
        "postgresql://me:SECRET@[::1]:5432/db?x=1 is away",
        "redis://:SECRET@host",
        "postgresql://host/db?user=me&password=SECRET&sslmode=require",
        "host=h user=me password = 'SECRET' dbname=x",
        'PGPASSWORD="SECRET"',
        "auth_token=SECRET, and so on",
    ],
)
def test_passwords_are_hidden_wherever_they_are_written(text):
    assert "SECRET" not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text", ["postgresql://me@host:5432/db", "http://host:8080/metrics", "x=1.5, y=2", "gap >= 4 eV, passed"]
)
def test_what_is_no_password_is_left_alone(text):
    assert redact(text) == text


@given(st.text(alphabet=st.characters(), max_size=200))
def test_whatever_an_oracle_says_is_one_line(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "log"
    with keep_journal(path, "any") as (companion,):
        companion(Bus(), None, None).deliver(Notice("worker_lost", text))
    first, last = lines(path)
    assert first["message"] == (redact(text) or None)
    assert last["event"] == "session_ended"


def test_long_texts_are_cut_and_numbers_that_json_lacks_are_null(tmp_path):
    with keep_journal(tmp_path / "log", "any") as (companion,):
        journal = companion(Bus(), None, None)
        journal.deliver(Notice("not_durable", "://a:" * 10**5))
        journal.deliver(ModelUpdated(3, 9, object(), frozenset({1}), 0.5, float("nan")))
    notice, model, _ = lines(tmp_path / "log")
    assert len(notice["message"]) == MOST_CHARACTERS
    assert model["version"] == 3
    assert model["error"] is None


def test_a_journal_is_appended_to_and_follows_a_file_that_is_moved(tmp_path):
    path, moved = tmp_path / "log", tmp_path / "log.1"
    for _ in range(2):
        with keep_journal(path, "any"):
            pass
    assert len(lines(path)) == 2
    with keep_journal(path, "any"):
        path.rename(moved)
    assert len(lines(moved)) == 2
    assert len(lines(path)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_session_that_fails_is_told_with_its_reason(tmp_path):
    with pytest.raises(ConnectionError), keep_journal(tmp_path / "log", "any"):
        raise ConnectionError("postgresql://me:SECRET@host/db is away")
    (line,) = lines(tmp_path / "log")
    assert line["event"] == "session_failed"
    assert line["level"] == "ERROR"
    assert line["message"] == "ConnectionError: postgresql://me:***@host/db is away"


def test_a_full_disk_is_told_once_and_ends_nothing(capsys):
    with keep_journal(Path("/dev/full"), "any") as (companion,):
        journal = companion(Bus(), None, None)
        for _ in range(3):
            journal.deliver(Started())
    assert capsys.readouterr().err.count("/dev/full can't be written") == 1


def test_a_folder_that_vanishes_ends_nothing(tmp_path, capsys):
    folder = tmp_path / "logs"
    folder.mkdir()
    with keep_journal(folder / "log", "any"):
        (folder / "log").unlink()
        folder.rmdir()
    assert "can't be written" in capsys.readouterr().err


def test_warnings_still_reach_a_terminal(tmp_path):
    code = (
        "import logging, pathlib, sys; from theoros.orchestrator.journal import keep_journal\n"
        "with keep_journal(pathlib.Path(sys.argv[1]), 'any'): logging.getLogger('theoros.x').warning('look here')"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "log"], capture_output=True, text=True, check=True)
    assert done.stderr == "look here\n"


def test_a_log_that_cannot_be_written_is_refused_before_anything_is_stored(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SPEC))
    command = [THEOROS, "run", "c.yaml", "--log", "nowhere/log"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr
    assert not (tmp_path / "theoros.db").exists()


def test_a_run_from_the_command_line_keeps_its_journal_where_the_environment_says(tmp_path, ray_address):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SPEC | {"budget": {"labels": 4}, "retries": {}}))
    environment = os.environ | {"THEOROS_LOG": "c.log", "RAY_ADDRESS": ray_address}
    done = subprocess.run(
        [THEOROS, "run", "c.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ended = [line for line in lines(tmp_path / "c.log") if line["event"] == "evaluation_ended"]
    assert len({line["evaluation"] for line in ended}) == 4
