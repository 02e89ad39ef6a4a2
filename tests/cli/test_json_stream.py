"""Where values begin and end, in whatever form and however the bytes arrive."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee import InvalidDocumentError
from settee.cli import json_stream
from settee.cli.json_stream import JsonStream, Piece

pytestmark = pytest.mark.feature("CLI-05")


def pieces(text: str | bytes) -> list[Piece]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(JsonStream(io.BytesIO(raw), "x.json"))


def values(text: str | bytes) -> list[object]:
    return [json.loads(piece.text) for piece in pieces(text)]


_texts = st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "{", "]", "}\n{", "\\\\"])
_objects = st.dictionaries(
    _texts,
    st.recursive(
        st.none() | st.integers() | _texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_objects, max_size=6), st.sampled_from([None, 1]), st.integers(1, 64))
def test_all_three_forms_give_the_values_back_whatever_the_chunks(objects, indent, chunk):
    array = json.dumps(objects, indent=indent)
    spread = "\n".join(json.dumps(each, indent=1) for each in objects)
    lines = "".join(json.dumps(each) + "\n" for each in objects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", chunk)
        assert values(array) == objects
        assert values(lines) == objects
        if objects and objects[0]:  # `{}` alone on a line is a JSON line.
            assert values(spread) == objects


def test_lines_are_counted_in_each_form():
    assert [p.line for p in pieces('\n{"a":1}\n\n\n{"b":2}\r\n{"c":3}')] == [2, 5, 6]
    assert [p.line for p in pieces('[\n{"a":\n1},\n\n{"b":2}, {"c":3}\n]')] == [2, 5, 5]
    assert [p.line for p in pieces('{\n"a":1\n}\n{\n"b":2\n}\n')] == [1, 4]


def test_nothing_blank_and_an_empty_array_hold_no_documents():
    for text in ("", "\n \n\t\n", "[]", " [ \n ] \n"):
        assert pieces(text) == []


def test_a_byte_order_mark_is_no_part_of_the_first_document():
    assert values(b'\xef\xbb\xbf{"a":1}\n') == [{"a": 1}]
    assert values(b'\xef\xbb\xbf[{"a":1}]') == [{"a": 1}]


def test_bad_lines_come_as_pieces_for_others_to_judge():
    assert [p.text for p in pieces('{"a":1}\n{oops\n{"b":2}\n')] == [
        b'{"a":1}',
        b"{oops",
        b'{"b":2}',
    ]


def test_a_line_longer_than_any_document_is_cut_and_the_next_one_is_found(monkeypatch):
    monkeypatch.setattr(json_stream, "_VALUE_BYTES_MAX", 100)
    found = pieces(b'{"a":"' + b"x" * 1000 + b'"}\n{"b":2}\n')
    assert [(p.line, len(p.text)) for p in found] == [(1, 100), (2, 7)]
    exactly = b'{"a":"' + b"x" * 92 + b'"}'
    assert [len(p.text) for p in pieces(exactly + b"\n{}\n")] == [100, 2]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[{"a":1}\n{"b":2}]', 2, "comma is missing"),
        ('[{"a":1},\n]', 2, "comma with no value"),
        ('[\n,{"a":1}]', 2, "comma with no value"),
        ('[{"a":1},,{"b":2}]', 1, "not a JSON object"),
        ("[1, 2]", 1, "not a JSON object"),
        ('[{"a":1},\n"text"]', 2, "not a JSON object"),
        ('[{"a":1}, null]', 1, "not a JSON object"),
        ('[{"a":1},\n{"b":', 2, "never ends"),
        ('[{"a":1},\n{"b":"x', 2, "never ends"),
        ('[{"a":1}', 1, "not closed"),
        ('[{"a":1}]\n[]', 1, "follows the end"),
        ('[{"a":1}]}', 1, "follows the end"),
        ("[\n}", 2, "closes nothing"),
        ('{\n"a":1\n}\n]', 4, "closes nothing"),
        ('{\n"a":1\n}\nx', 3, "not a JSON object"),
    ],
)
def test_what_can_t_be_taken_apart_is_an_error_with_its_line(text, line, said):
    with pytest.raises(InvalidDocumentError, match=rf"x\.json:{line}: .*{re.escape(said)}"):
        pieces(text)


def test_values_before_the_broken_place_are_given():
    found = []
    with pytest.raises(InvalidDocumentError):
        found.extend(JsonStream(io.BytesIO(b'[{"a":1}, {"b":2}, oops'), "x"))
    assert [p.text for p in found] == [b'{"a":1}', b'{"b":2}']


def test_a_value_without_end_is_given_up_at_the_limit(monkeypatch):
    monkeypatch.setattr(json_stream, "_VALUE_BYTES_MAX", 1000)
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 100)
    source = io.BytesIO(b'[{"a":"' + b"x" * 5000)
    with pytest.raises(InvalidDocumentError, match="more than"):
        list(JsonStream(source, "x"))
    assert source.tell() < 2000


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x1f\x8b\x08rest", "compressed"),
        (b"PK\x03\x04rest", "zip"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
    ],
)
def test_other_kinds_of_files_are_named(raw, said):
    with pytest.raises(InvalidDocumentError, match=said):
        pieces(raw)


def test_bytes_are_counted_as_they_are_read():
    text = b'[{"a":1}, {"b":2}]\n'
    stream = JsonStream(io.BytesIO(text), "x")
    assert len(list(stream)) == 2
    assert stream.bytes_read == len(text)
