from __future__ import annotations

import datetime
import enum
import json
import math
import uuid
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settee.doc import body as body_module
from settee.doc.body import canonical, check_reserved, dump, dump_many, load, strip_reserved
from settee.errors import InvalidDocumentError
from settee.limits import (
    DOCUMENT_BODY_BYTES_MAX,
    INTEGER_MAX,
    INTEGER_MIN,
    JSON_CONTAINERS_MAX,
    JSON_DEPTH_MAX,
)
from tests.prop import examples


def nested(depth: int) -> bytes:
    """An object around arrays, `depth` levels in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


# --- load ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"a":1,"b":[true,false,null,1.5,"x"],"c":{"d":{}}}',
        b' { "a" : 1 , "b" : [ ] } ',
        b'{"a":1e5,"b":1.0,"c":-0,"d":1E-7,"e":0.1000}',
        b'{"a":"\\u00e9\\/\\ud83d\\ude00\\u0000"}',
        '{"é":"ü😀"}'.encode(),
        b'{"a":{"k":1},"b":{"k":1}}',
        f'{{"a":{INTEGER_MAX},"b":{INTEGER_MIN}}}'.encode(),
        f'{{"a": {INTEGER_MAX}, "b": {INTEGER_MIN}}}'.encode(),
    ],
)
def test_a_valid_body_is_read_as_the_standard_library_reads_it(body):
    assert load(body) == json.loads(body)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true", b"[{}]"])
def test_only_an_object_is_a_body(body):
    with pytest.raises(InvalidDocumentError, match="object"):
        load(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1}x',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":"ü"}'.encode("latin-1"),
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\ud800":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\n"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000,
    ],
)
def test_what_is_not_strict_json_is_refused(body):
    with pytest.raises(InvalidDocumentError):
        load(body)


@pytest.mark.sec("SEC-20")
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":[{"a":1,"b":2,"a":3}]}',
        # Dropping one key and spelling out a number leaves the length as it was.
        b'{"a":1,"a":100000,"b":1e15}',
        b'{"b":1e5,"a":1,"a":2 }',
    ],
)
def test_a_key_that_comes_twice_is_refused(body):
    with pytest.raises(InvalidDocumentError, match="twice"):
        load(body)


@pytest.mark.parametrize(
    "digits",
    [str(INTEGER_MAX + 1), str(INTEGER_MIN - 1), "9" * 21, "1" + "0" * 30, "-" + "9" * 4301],
)
@pytest.mark.parametrize("space", ["", " ", "  "])
def test_an_integer_beyond_64_bits_is_refused_whatever_the_spaces(digits, space):
    # With one space the rounded integer is as long as the exact one: lengths would not tell.
    with pytest.raises(InvalidDocumentError, match=r"64 bits|infinity"):
        load(f'{{"a":{space}{digits}}}'.encode())


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1.0e400"])
def test_a_number_that_overflows_is_refused(number):
    with pytest.raises(InvalidDocumentError):
        load(b'{"a":' + number + b"}")


@pytest.mark.sec("SEC-20")
def test_nesting_is_bounded():
    assert load(nested(JSON_DEPTH_MAX))
    assert load(nested(JSON_DEPTH_MAX).replace(b"{", b"{ "))
    for spaces in (b"{", b"{ "):
        with pytest.raises(InvalidDocumentError, match="deeper"):
            load(nested(JSON_DEPTH_MAX + 1).replace(b"{", spaces))


def test_many_flat_values_are_not_deep():
    wide = b'{"a":[' + b",".join([b'{"b":[1]}'] * 500) + b"]}"
    assert len(load(wide)["a"]) == 500


@pytest.mark.sec("SEC-20")
@pytest.mark.parametrize("over", [0, 1, 99_000])
def test_the_number_of_objects_and_arrays_is_bounded(over, monkeypatch):
    """Guards `_check_containers`."""
    assert JSON_CONTAINERS_MAX == 1_000_000
    monkeypatch.setattr(body_module, "JSON_CONTAINERS_MAX", 1000)
    body = b'{"a":[' + b",".join([b"{}"] * (998 + over)) + b"]}"
    value = {"a": [{}] * (998 + over)}
    if over == 0:
        assert len(load(body)["a"]) == len(value["a"])
        assert dump(value) == body
        return
    with pytest.raises(InvalidDocumentError, match="objects and arrays"):
        load(body)
    if over == 1:
        with pytest.raises(InvalidDocumentError, match="objects and arrays"):
            dump(value)


def test_brackets_inside_texts_are_no_arrays(monkeypatch):
    monkeypatch.setattr(body_module, "JSON_CONTAINERS_MAX", 1000)
    body = b'{"a":"' + b'[{\\"' * 1000 + b'"}'
    assert len(load(body)["a"]) == 3000


@pytest.mark.parametrize(
    "body",
    [
        b'{ "a": 1, "b": [1.5, -2], "c": "x\\u0041\\"" }',
        b'{"a": 123456789012345678}',
        b'{"a":1.50,"b":"1e999"}',
    ],
)
def test_what_is_only_written_otherwise_is_taken(body):
    assert load(body) == json.loads(body)


@pytest.mark.feature("DOC-26")
def test_a_body_is_bounded_in_size():
    head, tail = b'{"a":"', b'"}'
    room = DOCUMENT_BODY_BYTES_MAX - len(head) - len(tail)
    assert load(head + b"x" * room + tail)
    with pytest.raises(InvalidDocumentError, match="too large"):
        load(head + b"x" * (room + 1) + tail)


# --- dump ---------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class Count(int):
    """A number with another name."""


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({}, b"{}"),
        ({"a": [1, 1.5, True, None, "ü"]}, '{"a":[1,1.5,true,null,"ü"]}'.encode()),
        ({"a": (1, (2, 3))}, b'{"a":[1,[2,3]]}'),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), b'{"a":{"b":1}}'),
        ({"a": Count(7)}, b'{"a":7}'),
        ({"a": INTEGER_MAX, "b": INTEGER_MIN}, f'{{"a":{INTEGER_MAX},"b":{INTEGER_MIN}}}'.encode()),
    ],
)
def test_plain_values_are_written_compactly(value, body):
    assert dump(value) == body


cycle: dict[str, object] = {}
cycle["self"] = cycle


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"items": [0, 1, 2, {"price": math.nan}]}, r"items\[3\]\.price: nan"),
        ({"items": [0, 1, 2, {"price": math.inf}]}, r"items\[3\]\.price: inf"),
        ({"a": {"b": INTEGER_MAX + 1}}, r"a\.b: the integer"),
        ({"a": INTEGER_MIN - 1}, "a: the integer"),
        ({"a": [b"bytes"]}, r"a\[0\]: bytes"),
        ({"a": {1: 2}}, "a: the key 1 is not text"),
        ({1: 2}, "the body: the key 1"),
        ({"a": "\ud800"}, "a: the text has a lone surrogate"),
        ({"a": {"\ud800": 1}}, "a: the text has a lone surrogate"),
        ({"a": uuid.UUID(int=1)}, "a: UUID"),
        ({"a": Colour.RED}, "a: Colour"),
        ({"a": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)}, "a: datetime"),
        ({"a": {1, 2}}, "a: set"),
        ({"a": object()}, "a: object"),
        (cycle, r"self\.self.*deeper"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value, place):
    with pytest.raises(InvalidDocumentError, match=place):
        dump(value)


def test_only_a_mapping_is_a_body():
    for value in ([1], "text", None, 7, math.nan):
        with pytest.raises(InvalidDocumentError, match="mapping"):
            dump(value)


def test_what_is_too_deep_or_too_large_to_load_is_refused_at_once():
    deep: object = []
    for _ in range(JSON_DEPTH_MAX - 2):
        deep = [deep]
    assert load(dump({"a": deep}))
    for value in ({"a": [deep]}, {"a": (deep,)}):
        with pytest.raises(InvalidDocumentError, match="deeper"):
            dump(value)
    with pytest.raises(InvalidDocumentError, match="too large"):
        dump({"a": "x" * DOCUMENT_BODY_BYTES_MAX})


def test_canonical_json_sorts_keys_by_their_bytes():
    value = {"b": 1, "ü": "é", "a": {"z": 1, "B": 2}, "": 0, "aa": (1,)}
    expected = '{"":0,"a":{"B":2,"z":1},"aa":[1],"b":1,"ü":"é"}'
    assert canonical(value) == expected.encode()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.property(number=4)
@examples(80)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_every_plain_value_comes_back_and_is_written_the_same_by_all(value):
    body = dump(value)
    assert load(body) == value
    assert load(json.dumps(value).encode()) == value
    assert load(canonical(value)) == value
    assert canonical(value) == canonical(dict(reversed(value.items())))


@pytest.mark.property(number=4)
@examples(80)
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u0d8e1-+.ENa \t', max_size=40))
def test_whatever_comes_in_is_read_or_refused_in_one_way(noise):
    body = noise if isinstance(noise, bytes) else noise.encode()
    try:
        value = load(body)
    except InvalidDocumentError:
        return
    assert load(dump(value)) == value


# --- reserved keys ------------------------------------------------------------------------------


@pytest.mark.feature("DOC-24")
def test_a_reserved_key_cannot_be_saved():
    check_reserved({"a": {"_inner": 1}, "b_": 2, "": 3})
    with pytest.raises(InvalidDocumentError, match="'_id'"):
        check_reserved({"a": 1, "_id": 2})


def test_a_received_body_without_reserved_keys_stays_the_same_bytes():
    for body in (b'{ "a" : 1 }', b'{ "a" : {"_b": 1, "c": "_d"} }', b'{"a":"\\u005fb"}'):
        assert strip_reserved(body) is body


def test_reserved_keys_of_a_received_body_are_dropped():
    body = b'{"_id":"x","a":{"_b":1},"_rev":"1-aa","_exp":7,"\\u005fsync":{}}'
    assert strip_reserved(body) == b'{"a":{"_b":1}}'


def test_attachments_that_stand_for_a_blob_are_dropped_with_the_reserved_keys():
    blob = '{"@type":"blob","digest":"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="}'
    entry = '{"digest":"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=","stub":true}'
    body = f'{{"p":{blob},"_attachments":{{"blob_/p":{entry},"other.txt":{entry}}},"_id":"x"}}'
    assert strip_reserved(body.encode()).decode() == (
        f'{{"p":{blob},"_attachments":{{"other.txt":{entry}}}}}'
    )
    alone = f'{{"p":{blob},"_attachments":{{"blob_/p":{entry}}}}}'
    assert strip_reserved(alone.encode()).decode() == f'{{"p":{blob}}}'


# --- many at once ---------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


class Mapped(dict[str, object]):
    pass


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from([Colour.RED, Text("x"), uuid.UUID(int=5), Mapped(a=1), b"x", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), ANYTHING, max_size=3), max_size=4))
def test_many_bodies_at_once_are_those_that_come_one_by_one(values):
    made = dump_many(values)
    if made is not None:
        assert made == [dump(value) for value in values]


def test_plain_bodies_are_made_at_once():
    values = [{"a": [1, 2.5, None, True, "ü", {"b": []}], "n": n} for n in range(5)]
    assert dump_many(values) == [dump(value) for value in values]
    assert dump_many(tuple(values)) == dump_many(values)
    assert dump_many([]) == []


@pytest.mark.parametrize(
    "value",
    [
        math.nan, -math.inf, Colour.RED, Text("x"), uuid.UUID(int=1), 2**64, b"x", {1: 2}, "\ud800",
        MappingProxyType({}), datetime.date(2026, 1, 1), object(),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_a_closer_look(value):
    assert dump_many([{"a": 1}, {"a": value}]) is None


def test_depth_and_size_at_once_are_left_to_a_closer_look():
    deep: list[object] = []
    for _ in range(JSON_DEPTH_MAX - 2):
        deep = [deep]
    assert dump_many([{"a": deep}]) == [dump({"a": deep})]
    assert dump_many([{"a": [deep]}]) is None
    assert dump_many([{"a": "x" * 2**20}]) is None
