"""revs: a document's past."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.feature("CLI-20")


def test_revs_shows_the_revision_its_ancestors_and_vector(run):
    first = run("put", "van", "a", '{"n": 1}').out.split()[1]
    second = run("put", "van", "a", '{"n": 2}').out.split()[1]
    told = json.loads(run("revs", "van", "a", "--json").out)
    assert (told["revision"], told["sequence"], told["deleted"]) == (second, 2, False)
    assert len(told["vector"]) == 1
    assert "@" in told["vector"][0]
    assert all(each.startswith("1-") for each in told["ancestors"])
    shown = run("revs", "van", "a").out
    assert second in shown
    assert "live, sequence 2" in shown
    assert first.startswith("1-")


def test_deleted_documents_still_have_a_revision(run):
    run("put", "van", "a", "{}")
    run("rm", "van", "a")
    told = json.loads(run("revs", "van", "a", "--json").out)
    assert told["deleted"] is True
    assert told["revision"].startswith("2-")
    assert "deleted" in run("revs", "van", "a").out


def test_what_was_never_there_is_exit_code_3(run):
    run("put", "van", "a", "{}")
    assert run("revs", "van", "b").code == 3
    run("rm", "van", "a", "--purge")
    assert run("revs", "van", "a").code == 3
