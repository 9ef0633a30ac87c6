"""The commands that read: they need no oracle, no Ray, and leave the database as it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.orchestrator.bench import SPEC, answer_all
from theoros.orchestrator.campaign import Campaign

THEOROS = Path(sys.executable).parent / "theoros"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a database that holds a campaign of twelve labels."""
    folder = tmp_path_factory.mktemp("cli")
    with contextlib.closing(Campaign(SPEC, folder / "theoros.db")) as campaign:
        answer_all(campaign, lambda _, at: at["x1"] ** 2 + at["x2"])
    return folder


@pytest.fixture
def run(folder):
    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run([THEOROS, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_top_shows_the_best_with_what_was_predicted(run):
    text = run("top", "bench", "-n", "3")
    assert "The best of bench" in text
    assert text.count("│ no") == 3


def test_status_and_show_tell_the_state(run):
    assert "12 done" in run("status")
    assert "12 done" in run("status", "bench")
    text = run("show", "bench")
    assert "full: 12 done" in text
    assert "model: error" in text


def test_query_reads_and_does_not_write(run, folder):
    before = hashlib.sha256((folder / "theoros.db").read_bytes()).hexdigest()
    rows = json.loads(run("query", "SELECT count(*) AS n FROM labels", "--to", "json"))
    assert rows == [{"n": 12}]
    assert "may only read" in run("query", "DELETE FROM labels", code=1)
    assert hashlib.sha256((folder / "theoros.db").read_bytes()).hexdigest() == before


def test_plot_and_export_write_files(run, folder):
    for path in run("plot", "bench").split():
        assert (folder / path).read_bytes().startswith(b"\x89PNG")
    run("export", "bench", "--to", "csv")
    table = pd.read_csv(folder / "bench.csv")
    assert len(table) == 12
    run("export", "bench", "--to", "parquet")
    assert len(pd.read_parquet(folder / "bench.parquet")) == 12
    assert "tells a geometry" in run("export", "bench", "--to", "extxyz", code=2)


def test_a_name_that_is_not_there_is_answered_with_the_nearest(run):
    assert "'bench'" in run("top", "bnech", code=2)
    assert "'bench'" in run("status", "bench", "bnech", code=2)


def test_stopping_what_does_not_run_says_so(run):
    assert "is not running" in run("stop", "bench")


def test_a_report_of_molecules_is_refused_where_there_are_none(run):
    assert "has labelled no molecules" in run("report", "bench", code=2)
