"""import: documents from files and pipes."""

from __future__ import annotations

import json

import pytest

from settee import Blob, Database
from settee.cli import importing

pytestmark = pytest.mark.feature("CLI-05")


def bodies(tmp_path, collection="_default", name="van"):
    with Database(name, directory=tmp_path, create=False) as db:
        return {doc.id: doc.to_dict() for doc in db.collection(collection).documents()}


def test_json_lines_from_a_pipe_make_database_and_collection(run, tmp_path):
    ran = run("import", "van", "-c", "shop.items", stdin='{"_id":"a","n":1}\n{"_id":"b","n":2}\n')
    assert ran.code == 0
    assert ran.out.startswith("Imported 2 documents (36 B) into shop.items")
    assert "Made the database van" in ran.err
    assert bodies(tmp_path, "shop.items") == {"a": {"n": 1}, "b": {"n": 2}}


def test_arrays_and_several_files_are_taken_in_order(run, tmp_path):
    (tmp_path / "one.json").write_text('[{"_id": "a", "n": 1},\n {"_id": "b", "n": 1}]')
    (tmp_path / "two.jsonl").write_text('{"_id":"b","n":2}\n')
    assert run("import", "van", "one.json", "two.jsonl").code == 0
    assert bodies(tmp_path) == {"a": {"n": 1}, "b": {"n": 2}}


def test_what_cat_prints_can_be_imported(run, tmp_path):
    run("put", "van", "a", '{"x": {"y": [1, 2]}}')
    printed = run("cat", "van", "a").out
    assert run("import", "bus", "--id", "n", stdin=printed).code == 2
    assert run("import", "bus", stdin=printed).code == 0
    assert list(bodies(tmp_path, name="bus").values()) == [{"x": {"y": [1, 2]}}]


def test_documents_without_an_id_get_a_random_one(run, tmp_path):
    run("import", "van", "--id-prefix", "item::", stdin='{"n":1}\n{"n":1}\n')
    ids = list(bodies(tmp_path))
    assert len(ids) == 2
    assert all(doc_id.startswith("item::") and len(doc_id) == 42 for doc_id in ids)


def test_the_id_comes_from_the_property_that_is_named(run, tmp_path):
    run("import", "van", "--id", "code", "--id-prefix", "p:", stdin='{"code":7,"_id":"x"}\n')
    assert bodies(tmp_path) == {"p:7": {"code": 7}}


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('{"code":1}', ["--id", "sku"], "no property 'sku'"),
        ('{"_id":1.5}', [], "text or an integer"),
        ('{"_id":true}', [], "text or an integer"),
        ('{"_id":null}', [], "text or an integer"),
        ('{"_id":""}', [], "empty"),
        ('{"_id":"_x"}', [], "underscore"),
        ('{"_id":"' + "x" * 241 + '"}', [], "longer than"),
        ('{"_rev":"1-a"}', [], "_rev"),
        ("[[1]]", [], "object"),
        ('"text"', [], "object"),
        ("{oops", [], "JSON"),
        ('{"n":NaN}', [], "JSON"),
        ('{"n":1e999}', [], "infinity"),
        ('{"n":99999999999999999999999}', [], "64 bits"),
        ('{"a":1,"a":2}', [], "twice"),
        ('{"a":"\\ud800"}', [], ""),
        ('{"a":' * 101 + "1" + "}" * 101, [], "deeper"),
    ],
)
def test_a_bad_document_is_named_with_file_and_line(run, tmp_path, text, options, said):
    (tmp_path / "x.jsonl").write_text(text + "\n")
    ran = run("import", "van", "x.jsonl", *options)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("settee: x.jsonl:1: ")
    assert said in ran.err
    assert not (tmp_path / "van.settee").exists()


def test_wrong_utf_8_is_named_with_its_line(run, tmp_path):
    ran = run("import", "van", stdin=b'{"a":1}\n{"b":"\xff"}\n')
    assert ran.code == 2
    assert "standard input:2: " in ran.err


def test_what_comes_before_a_bad_line_is_imported(run, tmp_path):
    ran = run("import", "van", stdin='{"_id":"a"}\n{"_id":"b"}\noops\n{"_id":"c"}\n')
    assert ran.code == 2
    assert ran.out.startswith("Imported 2 documents")
    assert "standard input:3: " in ran.err
    assert list(bodies(tmp_path)) == ["a", "b"]


def test_keep_going_leaves_out_what_is_bad_and_says_where(run, tmp_path):
    text = '{"_id":"a"}\noops\n{"_id":"b","_rev":"1"}\n{"_id":"c"}\n'
    ran = run("import", "van", "--keep-going", stdin=text)
    assert ran.code == 1
    assert ran.out.startswith("Imported 2 documents")
    assert "standard input:2: " in ran.err
    assert "standard input:3: " in ran.err
    assert "Left out 2 documents." in ran.err
    assert list(bodies(tmp_path)) == ["a", "c"]
    told = json.loads(run("import", "van", "-k", "--json", stdin=text).out)
    assert (told["imported"], told["refused"]) == (2, 2)
    assert [each["line"] for each in told["refusals"]] == [2, 3]


def test_of_very_many_bad_lines_only_some_are_shown(run):
    ran = run("import", "van", "-k", stdin="oops\n" * 100 + "{}\n")
    assert ran.code == 1
    assert ran.err.count("standard input:") == 20
    assert "80 more" in ran.err


def test_a_file_with_no_documents_imports_none(run):
    assert run("import", "van", stdin="[]").out.startswith("Imported 0 documents")


def test_missing_files_are_exit_code_3_and_make_nothing(run, tmp_path):
    for command in (["import", "van", "gone.json"], ["import", "van", "--blobs", "gone"]):
        ran = run(*command, stdin="{}\n")
        assert ran.code == 3
        assert "gone" in ran.err
    assert not (tmp_path / "van.settee").exists()


def test_many_documents_pass_in_batches(run, tmp_path):
    text = "".join(f'{{"_id":"{n:05}","n":{n}}}\n' for n in range(2500))
    ran = run("import", "van", stdin=text)
    assert ran.out.startswith("Imported 2,500 documents")
    assert "/s\n" in ran.out
    assert len(bodies(tmp_path)) == 2500


def test_a_blob_whose_content_is_nowhere_is_refused(run):
    digest = Blob.from_bytes(b"x").digest
    text = json.dumps({"image": {"@type": "blob", "digest": digest, "length": 1}})
    ran = run("import", "van", stdin=text + "\n")
    assert ran.code == 2
    assert "--blobs DIR" in ran.err


def test_blobs_come_back_out_of_the_directory_with_all_their_properties(run, tmp_path):
    content = b"\x89PNG" * 1000
    reference = {
        "@type": "blob",
        "content_type": "image/png",
        "digest": Blob.from_bytes(content).digest,
        "length": 4000,
        "title": "Apples",
    }
    importing.blob_file(tmp_path, str(reference["digest"])).write_bytes(content)
    text = json.dumps({"_id": "a", "pages": [{"image": reference}]})
    assert run("import", "van", "--blobs", ".", stdin=text + "\n").code == 0
    assert bodies(tmp_path) == {"a": {"pages": [{"image": reference}]}}
    with Database("van", directory=tmp_path) as db:
        assert db.default_collection["a"]["pages"][0]["image"].read() == content


def test_a_damaged_blob_file_is_refused(run, tmp_path):
    digest = Blob.from_bytes(b"whole").digest
    importing.blob_file(tmp_path, digest).write_bytes(b"other")
    text = json.dumps({"image": {"@type": "blob", "digest": digest, "length": 5}})
    ran = run("import", "van", "--blobs", ".", stdin=text + "\n")
    assert ran.code == 2
    assert "damaged" in ran.err
