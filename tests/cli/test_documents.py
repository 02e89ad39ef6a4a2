"""ls, cat, put and rm."""

from __future__ import annotations

import json

import pytest

from settee import Blob, Database


@pytest.fixture
def van(tmp_path):
    """A database with three documents and a picture; closed before the command runs."""
    with Database("van", directory=tmp_path) as db:
        items = db.collection("shop.items", create=True)
        items["item::apples"] = {"name": "Apples", "quantity": 10}
        items["item::beets"] = {
            "name": "Beets",
            "pictures": [{"image": Blob.from_bytes(b"\x89PNG\x00", content_type="image/png")}],
        }
        items["note"] = {"text": "Grüße"}
    return "van"


@pytest.mark.feature("CLI-01", "CLI-18")
def test_put_then_cat_gives_the_same_document(run):
    put = run("put", "van", "a", '{"name": "Möhren", "n": [1, 2.5, null]}')
    assert put.code == 0
    assert put.out.startswith("a 1-")
    assert "Made the database van" in put.err
    cat = run("cat", "van", "a")
    assert (cat.code, cat.err) == (0, "")
    assert json.loads(cat.out) == {"name": "Möhren", "n": [1, 2.5, None]}
    assert run("cat", "van", "a", "--json").out == '{"name":"Möhren","n":[1,2.5,null]}\n'


def test_put_reads_standard_input_and_makes_the_collection(run):
    assert run("put", "van", "a", "-", "-c", "shop.items", stdin='{"q": 1}\n').code == 0
    assert run("put", "van", "b", "-c", "shop.items", stdin='{"q": 2}').code == 0
    assert run("ls", "van", "-c", "shop.items").out == "a\nb\n"


def test_put_replaces_unless_it_is_told_to_merge(run):
    run("put", "van", "a", '{"x": 1, "y": 1}')
    run("put", "van", "a", '{"y": 2}', "--merge")
    assert json.loads(run("cat", "van", "a").out) == {"x": 1, "y": 2}
    second = run("put", "van", "a", '{"z": 3}')
    assert second.out.startswith("a 3-")
    assert json.loads(run("cat", "van", "a").out) == {"z": 3}


@pytest.mark.feature("CLI-01")
def test_put_takes_files_as_blobs_and_cat_gives_them_back(run, tmp_path):
    (tmp_path / "p.png").write_bytes(b"\x89PNG\x00\xff")
    assert run("put", "van", "a", '{"n": 1}', "--blob", "image=p.png").code == 0
    body = json.loads(run("cat", "van", "a").out)
    assert body["image"]["@type"] == "blob"
    assert (body["image"]["length"], body["image"]["content_type"]) == (6, "image/png")
    assert run("cat", "van", "a", "--blob", "image", "-o", "out.png").code == 0
    assert (tmp_path / "out.png").read_bytes() == b"\x89PNG\x00\xff"


def test_a_blob_goes_to_standard_output_and_nothing_else_does(van, run):
    ran = run("cat", van, "item::beets", "-c", "shop.items", "--blob", "pictures[0].image")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("PNG\x00")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSON"),
        ("[1]", "object"),
        ('{"a": 1, "a": 2}', "a"),
        ('{"_id": "x"}', "_id"),
        ('{"n": NaN}', ""),
        ('{"n": 99999999999999999999999}', ""),
        ("", "empty"),
    ],
)
def test_bad_json_is_a_sentence_and_exit_code_2(run, text, said):
    ran = run("put", "van", "a", "-", stdin=text)
    assert ran.code == 2
    assert ran.err.startswith("settee: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    assert said in ran.err


def test_a_bad_document_makes_no_database(run, tmp_path):
    assert run("put", "van", "a", "{").code == 2
    assert not (tmp_path / "van.settee").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["ls", "nowhere"],
        ["cat", "nowhere", "a"],
        ["rm", "nowhere", "a"],
        ["info", "nowhere"],
    ],
)
def test_a_missing_database_is_not_made_but_exit_code_3(run, tmp_path, command):
    ran = run(*command)
    assert ran.code == 3
    assert "nowhere" in ran.err
    assert not (tmp_path / "nowhere.settee").exists()


def test_a_missing_document_collection_or_blob_is_exit_code_3(van, run):
    for command in (
        ["cat", van, "nobody", "-c", "shop.items"],
        ["cat", van, "note", "-c", "no.such"],
        ["cat", van, "note", "-c", "shop.items", "--blob", "image"],
        ["cat", van, "note", "-c", "shop.items", "--blob", "text"],
        ["cat", van, "item::beets", "-c", "shop.items", "--blob", "pictures[1].image"],
        ["ls", van, "-c", "no.such"],
        ["rm", van, "nobody", "-c", "shop.items"],
        ["put", van, "a", "{}", "--blob", "image=no-such-file"],
    ):
        ran = run(*command)
        assert ran.code == 3, command
        assert ran.err.count("\n") == 1, command


@pytest.mark.feature("CLI-12")
def test_ls_filters_pages_and_tells_more(van, run):
    assert run("ls", van, "-c", "shop.items").out.split() == ["item::apples", "item::beets", "note"]
    assert run("ls", van, "item::*", "-c", "shop.items").out.split() == [
        "item::apples",
        "item::beets",
    ]
    page = run("ls", van, "-c", "shop.items", "--offset", "1", "--limit", "1")
    assert page.out.split() == ["item::beets"]
    rows = [
        json.loads(row)
        for row in run("ls", van, "-l", "--json", "-c", "shop.items").out.splitlines()
    ]
    assert [(row["id"], row["blobs"]) for row in rows] == [
        ("item::apples", 0),
        ("item::beets", 1),
        ("note", 0),
    ]
    assert rows[0]["bytes"] == len('{"name":"Apples","quantity":10}')
    long = run("ls", van, "-l", "-c", "shop.items").out.splitlines()
    assert long[0].split() == ["ID", "Sequence", "Size", "Blobs", "Revision"]
    assert rows[0]["revision"] in long[1]


def test_an_empty_collection_lists_nothing(van, run):
    assert run("ls", van) == (0, "", "")


def test_ids_of_others_do_not_reach_the_terminal_raw(run, tmp_path):
    with Database("van", directory=tmp_path) as db:
        db.default_collection["\u202ex"] = {"t": "\x1b]0;owned\x07\x9b"}
    assert run("ls", "van").out == "\\x202ex\n"
    cat = run("cat", "van", "\u202ex")
    assert not {"\x1b", "\x07", "\x9b"} & set(cat.out)
    assert json.loads(cat.out) == {"t": "\x1b]0;owned\x07\x9b"}


@pytest.mark.feature("CLI-18")
def test_rm_removes_all_or_none(van, run):
    ran = run("rm", van, "note", "nobody", "-c", "shop.items")
    assert ran.code == 3
    assert "note" in run("ls", van, "-c", "shop.items").out
    assert run("rm", van, "note", "item::apples", "-c", "shop.items") == (0, "", "")
    assert run("ls", van, "-c", "shop.items").out == "item::beets\n"


def test_rm_purge_forgets_the_document(van, run):
    assert run("rm", van, "note", "--purge", "-c", "shop.items").code == 0
    assert run("put", van, "note", "{}", "-c", "shop.items").out.startswith("note 1-")


def test_a_blob_assignment_without_a_file_is_exit_code_2(van, run):
    ran = run("put", van, "a", "{}", "--blob", "image")
    assert (ran.code, "KEY=FILE" in ran.err) == (2, True)


@pytest.mark.feature("CLI-01")
def test_cat_shows_one_property_alone(van, run):
    run("put", van, "a", '{"items": [{"price": 1.5}], "name": "Möhren"}')
    assert run("cat", van, "a", "--key", "items[0].price").out == "1.5\n"
    assert run("cat", van, "a", "-k", "name").out == '"Möhren"\n'
    assert run("cat", van, "a", "-k", "items", "--json").out == '[{"price":1.5}]\n'
    assert run("cat", van, "a", "-k", "items[1]").code == 3


@pytest.mark.feature("CLI-18")
def test_put_makes_or_updates_only_if_that_is_what_is_meant(van, run):
    assert run("put", van, "a", '{"n": 1}', "--create").code == 0
    assert run("put", van, "a", '{"n": 2}', "--create").code == 2
    assert run("cat", van, "a", "--json").out == '{"n":1}\n'
    assert run("put", van, "a", '{"n": 3}', "--update").code == 0
    assert run("put", van, "a", '{"m": 4}', "--update", "--merge").code == 0
    assert run("cat", van, "a", "--json").out == '{"n":3,"m":4}\n'
    assert run("put", van, "b", "{}", "--update").code == 3
    assert run("put", "gone", "b", "{}", "--update").code == 3
    assert run("ls", van).out == "a\n"


@pytest.mark.feature("CLI-12")
def test_ls_lists_more_documents_than_a_page_or_a_block_has(run):
    run("import", "van", stdin="".join(f'{{"_id":"{n:05}"}}\n' for n in range(2100)))
    assert len(run("ls", "van").out.splitlines()) == 2100
    long = run("ls", "van", "--long").out.splitlines()
    assert len(long) == 2101
    assert len({row.index("2 B") for row in long[1:]}) <= 3
    page = run("ls", "van", "--long", "--json", "--offset", "2000", "--limit", "2").out
    assert [json.loads(row)["id"] for row in page.splitlines()] == ["02000", "02001"]
