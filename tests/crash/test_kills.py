"""``kill -9`` at random moments, and the judge of it: what is lost is noticed.

Slow: processes are forked, killed and judged.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import Database
from tests.crash import kills, work

pytestmark = pytest.mark.slow


@pytest.mark.feature("DB-03")
def test_killed_processes_lose_nothing_that_they_acknowledged() -> None:
    result = kills.run(0, 8)
    assert result["found"] == []
    assert result["kills"] == 8
    assert result["acknowledged"] > 50


def test_a_lost_write_and_a_lost_file_are_noticed(tmp_path: Path) -> None:
    place = tmp_path / "a.settee"
    child = work.Child(lambda say: work.live(place, "noticed", say))
    assert child.wait() == 0
    lines = child.lines
    assert work.verified(lambda say: work.judge_local(place, "noticed", lines, say)) == []
    early = lines[:-3]
    assert work.verified(lambda say: work.judge_local(place, "noticed", early, say)) != []
    (place / "letter").touch()
    assert work.verified(lambda say: work.judge_files(place, say)) != []


def test_a_document_that_sync_lost_is_noticed(tmp_path: Path) -> None:
    child = work.Child(lambda say: work.both(tmp_path, say))
    assert child.wait() == 0
    lines = child.lines
    assert work.verified(lambda say: work.judge_sync(tmp_path, lines, say)) == []
    for name in "ab":
        with Database(tmp_path / f"{name}.settee") as db:
            db.default_collection.purge(f"{name}-1")
    assert work.verified(lambda say: work.judge_sync(tmp_path, lines, say)) != []
