"""compact, check and reindex."""

from __future__ import annotations

import json

import pytest

from settee import Blob, Database


@pytest.fixture
def van(tmp_path):
    with Database("van", directory=tmp_path) as db:
        db.default_collection["a"] = {"n": 1, "image": Blob.from_bytes(b"picture")}
    return "van"


@pytest.mark.feature("CLI-04")
def test_compact_gives_space_back_and_keeps_documents(run, tmp_path):
    text = "".join(f'{{"_id":"{n}","x":"{"x" * 1000}"}}\n' for n in range(1000))
    run("import", "van", stdin=text)
    run("rm", "van", *map(str, range(1, 1000)), "--purge")
    told = json.loads(run("compact", "van", "--json").out)
    assert told["bytes_freed"] > 500_000
    assert run("ls", "van").out == "0\n"
    assert run("compact", "van").out.startswith("Freed ")


@pytest.mark.feature("CLI-03")
def test_check_finds_nothing_wrong_in_a_whole_database(van, run):
    assert run("check", van).out.startswith("Nothing wrong in 1 documents")
    assert json.loads(run("check", van, "--json").out) == {"documents": 1, "problems": []}


@pytest.mark.feature("CLI-03")
def test_check_names_a_damaged_blob_unless_told_not_to_look(van, run, tmp_path):
    for each in (tmp_path / "van.settee" / "blobs").iterdir():
        if each.is_file():
            each.chmod(0o600)
            each.write_bytes(b"pictura")
    ran = run("check", van)
    assert ran.code == 1
    assert ran.out == ""
    assert "sha1-" in ran.err
    told = run("check", van, "--json")
    assert told.code == 1
    assert [each["kind"] for each in json.loads(told.out)["problems"]] == ["blob"]
    assert run("check", van, "--no-blobs").code == 0


@pytest.mark.feature("CLI-15")
def test_reindex_leaves_documents_as_they_are(van, run):
    before = run("export", van).out
    assert run("reindex", van) == (0, "", "")
    assert run("export", van).out == before
    assert run("check", van).code == 0
