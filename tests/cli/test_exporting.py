"""export: a collection as JSON lines, as an array, with its blobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from settee import Blob, Database

pytestmark = pytest.mark.feature("CLI-05")

BODIES = {
    "a": {"name": "Möhren \u202e 🥕", "n": [1, 2.5, None, True, 2**63]},
    "b": {"text": 'quote " and \\ and \n', "deep": {"e": {}}},
    "item::c": {},
}


@pytest.fixture
def van(tmp_path):
    with Database("van", directory=tmp_path) as db:
        db.default_collection.save_many(BODIES.items())
    return "van"


def read(text):
    found = [json.loads(each) for each in text.splitlines()]
    return {each.pop("_id"): each for each in found}


def test_lines_go_to_standard_output_and_nothing_else_does(van, run):
    ran = run("export", van)
    assert (ran.code, ran.err) == (0, "")
    assert read(ran.out) == BODIES
    assert [json.loads(each)["_id"] for each in ran.out.splitlines()] == ["a", "b", "item::c"]


def test_an_array_is_one_json_value_also_when_empty(van, run):
    assert len(json.loads(run("export", van, "--array").out)) == 3
    assert json.loads(run("export", van, "--array", "--only", "z*").out) == []


@pytest.mark.parametrize("form", [[], ["--array"]])
def test_export_then_import_gives_the_same_documents(van, run, tmp_path, form):
    assert run("export", van, "x.json", *form).code == 0
    assert run("import", "bus", "x.json").code == 0
    assert run("export", "bus").out == run("export", van).out


def test_only_some_ids_and_another_name_for_them(van, run):
    ran = run("export", van, "--only", "item::*", "--id", "key")
    assert json.loads(ran.out) == {"key": "item::c"}


def test_an_id_property_that_is_taken_is_refused_not_lost(van, run):
    run("put", van, "d", '{"sku": "other"}')
    ran = run("export", van, "--id", "sku")
    assert ran.code == 2
    assert "'sku'" in ran.err
    run("put", van, "d", '{"sku": "d"}')
    assert run("export", van, "--id", "sku").code == 0


def test_a_file_appears_whole_or_not_at_all(van, run, tmp_path):
    (tmp_path / "x.jsonl").write_text("before")
    run("put", van, "d", '{"sku": 1}')
    assert run("export", van, "x.jsonl", "--id", "sku").code == 2
    assert (tmp_path / "x.jsonl").read_text() == "before"
    assert run("export", van, "x.jsonl").out.startswith("Exported 4 documents (")
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 4
    assert [each for each in os.listdir(tmp_path) if each.endswith(".part")] == []


def test_what_was_done_is_told_as_json_where_documents_are_not(van, run):
    assert json.loads(run("export", van, "x.jsonl", "--json").out)["exported"] == 3
    ran = run("export", van, "--json")
    assert json.loads(ran.err)["exported"] == 3
    assert read(ran.out) == BODIES
    assert run("export", van, "x.jsonl", "--quiet") == (0, "", "")


def test_blobs_travel_with_the_documents(van, run, tmp_path):
    content = os.urandom(100_000)
    with Database("van", directory=tmp_path) as db:
        image = Blob.from_bytes(content, content_type="image/png")
        db.default_collection["p"] = {"image": image, "again": image}
    assert "--blobs DIR" in run("export", van, "x.jsonl").err
    assert run("export", van, "x.jsonl", "--blobs", "blobs").code == 0
    (file,) = (tmp_path / "blobs").iterdir()
    assert file.read_bytes() == content
    assert run("import", "bus", "x.jsonl").code == 2
    assert run("import", "bus", "x.jsonl", "--blobs", "blobs").code == 0
    with Database("bus", directory=tmp_path) as db:
        assert db.default_collection["p"]["image"].read() == content
    assert run("export", "bus", "--only", "p").out == run("export", van, "--only", "p").out


def test_a_blob_that_is_not_there_is_told_and_is_exit_code_1(van, run, tmp_path):
    with Database("van", directory=tmp_path) as db:
        db.default_collection["p"] = {"image": Blob.from_bytes(b"gone")}
        blobs = [each for each in (db.path / "blobs").iterdir() if each.is_file()]
    for each in blobs:
        each.unlink()
    ran = run("export", van, "x.jsonl", "--blobs", "blobs")
    assert ran.code == 1
    assert "sha1-" in ran.err
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 4


def test_a_terminal_gets_no_sign_that_steers_it(van, run, monkeypatch):
    monkeypatch.setattr("settee.cli.exporting._is_terminal", lambda _: True)
    assert "\\u202e" in run("export", van).out


def test_an_empty_name_for_the_id_is_refused(van, run):
    assert run("export", van, "--id", "").code == 2


@pytest.mark.skipif(os.name != "posix", reason="pipes end otherwise on Windows")
def test_a_reader_that_leaves_is_no_error(run, tmp_path):
    text = "".join(f'{{"_id":"{n:05}","x":"{"x" * 500}"}}\n' for n in range(2000))
    run("import", "van", stdin=text)
    process = subprocess.Popen(
        [sys.executable, "-m", "settee", "export", "van"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout.readline().startswith(b'{"_id":"00000"')
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


@pytest.mark.skipif(os.name != "posix", reason="there are no such pipes on Windows")
def test_a_device_is_written_to_not_replaced(van, run):
    assert run("export", van, "/dev/null").code == 0
    assert not os.path.isfile("/dev/null")
