"""200 seeded bit flips in a database's header, pages, log and blobs.

Each is told as an error of settee's tree or leaves correct data; none is a crash, a hang, or an
error of another kind. What can't be noticed is counted, and bounded: see docs/bad-input.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from settee import Blob, CorruptDatabaseError, Database
from tests.disk import namespace

COUNT = 200


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.disk.flips"]
    done = subprocess.run(
        [*command, str(tmp_path_factory.mktemp("flips")), str(COUNT)],
        cwd=namespace.ROOT,
        capture_output=True,
        text=True,
        timeout=namespace.TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.feature("MNT-03")
def test_every_flip_is_told_or_harmless(found: dict[str, Any]) -> None:
    """Runs 200 databases in a process of its own, which takes some seconds."""
    assert found["bugs"] == []
    assert sum(sum(each.values()) for each in found["counts"].values()) == COUNT


@pytest.mark.slow
def test_a_flip_in_a_blob_is_always_told_and_in_the_log_never_makes_up_data(
    found: dict[str, Any],
) -> None:
    """Runs in the same process."""
    assert set(found["counts"]["blob"]) == {"told"}
    assert set(found["counts"]["wal"]) <= {"earlier", "same", "told"}
    assert set(found["counts"]["header"]) <= {"told", "same"}


@pytest.mark.slow
def test_what_can_not_be_noticed_is_rare_and_only_inside_the_text_of_a_row(
    found: dict[str, Any],
) -> None:
    """Runs in the same process."""
    page = found["counts"]["page"]
    assert page.get("unseen", 0) <= sum(page.values()) // 10
    assert page["told"] >= 5


def test_a_good_collection_can_be_exported_beside_a_damaged_one(tmp_path: Path) -> None:
    with Database("app", directory=tmp_path, durability="memory") as db:
        for name in ("good.items", "bad.items"):
            items = db.collection(name, create=True)
            items.save_many((f"{name}-{n:03}", {"n": n, "text": "t" * 300}) for n in range(200))
        db.collection("good.items")["picture"] = {"image": Blob.from_bytes(b"png")}
    path = tmp_path / "app.settee" / "db.sqlite3"
    raw = bytearray(path.read_bytes())
    at = raw.index(b"bad.items-100")  # In a page of its table, or of its index.
    page = at // 8192 * 8192
    raw[page : page + 8] = b"\xff" * 8
    path.write_bytes(raw)
    with Database("app", directory=tmp_path) as db:
        with pytest.raises(CorruptDatabaseError):
            list(db.collection("bad.items").documents())
        exported = [document.to_json() for document in db.collection("good.items").documents()]
        assert len(exported) == 201
        assert db.check() != []
