"""watch: changes as JSON lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from settee import Database
from settee.cli import watching as watch_module

pytestmark = pytest.mark.feature("CLI-24")

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
HEARS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from settee.cli import main
main()
"""


def told(text):
    return [json.loads(each) for each in text.splitlines()]


def test_what_has_happened_is_shown_in_order_and_then_it_ends(run):
    for doc_id in ("a", "b", "c"):
        run("put", "van", doc_id, '{"n": 1}')
    run("put", "van", "a", '{"n": 2}')
    run("rm", "van", "b")
    rows = told(run("watch", "van", "--since", "0", "--no-wait", "--body").out)
    assert [(row["id"], row["sequence"]) for row in rows] == [("c", 3), ("a", 4), ("b", 5)]
    assert rows[1]["body"] == {"n": 2}
    assert rows[2]["deleted"] is True
    assert "body" not in rows[2]
    rest = told(run("watch", "van", "--since", rows[1]["sequence"], "--no-wait").out)
    assert [row["id"] for row in rest] == ["b"]
    assert run("watch", "van", "--since", "5", "--no-wait") == (0, "", "")


def test_a_document_that_is_gone_without_a_trace_is_named_last(tmp_path):
    with Database("van", directory=tmp_path) as db:
        db.default_collection["a"] = {}
        rows = list(watch_module._told(db.default_collection, ["gone", "a"], 7, with_body=False))
    assert [(row["id"], row["sequence"], row.get("purged")) for row in rows] == [
        ("a", 1, None),
        ("gone", 7, True),
    ]


@pytest.fixture
def watching(tmp_path, run):
    """``watching(…)`` starts `watch` in a process of its own; it watches when this returns."""
    started = []

    def start(*options):
        run("put", "van", "a", "{}")
        process = subprocess.Popen(
            [sys.executable, "-c", HEARS_CTRL_C, "watch", "van", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(process)
        assert "Watching van" in process.stderr.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_s_writes_are_seen_and_ctrl_c_is_a_good_end(watching, tmp_path):
    process = watching()
    with Database("van", directory=tmp_path) as db:
        db.collection("shop.items", create=True)["x"] = {"n": 1}
    row = json.loads(process.stdout.readline())
    assert (row["collection"], row["id"], row["sequence"]) == ("shop.items", "x", 1)
    process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_options_that_can_t_go_together_are_exit_code_2(run):
    run("put", "van", "a", "{}")
    assert run("watch", "van", "--no-wait").code == 2
    assert run("watch", "van", "--since", "-1").code == 2
    assert run("watch", "van", "-c", "gone", "--since", "0").code == 3
