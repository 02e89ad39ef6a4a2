from __future__ import annotations

import orjson
import pytest

from settee.blip.message import Reply
from settee.errors import (
    ClosedError,
    CorruptDatabaseError,
    DiskFullError,
    InvalidDocumentError,
    NotFoundError,
    PeerError,
    PeerProtocolError,
    RefusedError,
    SetteeError,
    StoreError,
    SyncError,
)
from settee.limits import CHANGES_ROWS_RECEIVED_MAX, REVISION_NAME_BYTES_MAX, SEQUENCE_BYTES_MAX
from settee.sync.messages import (
    AnnouncedRow,
    ProposedRow,
    error_of_reply,
    is_true,
    json_array,
    parse_announced,
    parse_proposed,
    sequence_text,
    status_of_error,
    trimmed,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        ("true", True),
        ("YES", True),
        ("1", True),
        ("7", True),
        ("0", False),
        ("00", False),
        ("false", False),
        ("No", False),
        ("", False),
    ],
)
def test_booleans_are_read_as_liberally_as_the_engine_does(
    value: str | None, expected: bool
) -> None:
    assert is_true({} if value is None else {"x": value}, "x") is expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(17, "17"), ("12:345", '"12:345"'), (1.5, "1.5"), (None, "null"), ([1, {"a": 2}], None)],
)
def test_a_sequence_is_its_json_text(value: object, text: str | None) -> None:
    assert sequence_text(value) == (text or orjson.dumps(value).decode())


@pytest.mark.parametrize("value", [{1: 2}, "x" * SEQUENCE_BYTES_MAX, object()])
def test_a_sequence_that_no_message_could_carry_is_refused(value: object) -> None:
    with pytest.raises(PeerProtocolError):
        sequence_text(value)


def test_a_sequence_at_the_limit_is_taken() -> None:
    assert len(sequence_text("x" * (SEQUENCE_BYTES_MAX - 2))) == SEQUENCE_BYTES_MAX


def test_a_deeply_nested_sequence_is_refused_not_fatal() -> None:
    with pytest.raises(PeerProtocolError):
        parse_announced(b"[[" + b"[" * 400 + b"]" * 400 + b',"d","1-aa"]]')


@pytest.mark.parametrize("body", [b"", b"null", b"[]"])
def test_an_empty_array_may_be_written_in_three_ways(body: bytes) -> None:
    assert json_array(body, "changes") == []


@pytest.mark.parametrize("body", [b"{", b"{}", b"7", b'"x"', b"\xff"])
def test_a_body_that_is_no_array_is_refused(body: bytes) -> None:
    with pytest.raises(PeerProtocolError) as caught:
        json_array(body, "changes")
    assert (caught.value.domain, caught.value.code) == ("BLIP", 400)


def test_rows_of_changes_of_all_levels() -> None:
    body = b'[[1,"a","1-aa"],["2:3","b","2-bb",true],[3,"c","3-cc",1,99],[4,"d","4-dd",0,-1]]'
    assert parse_announced(body) == [
        AnnouncedRow("1", "a", "1-aa", 0, 0),
        AnnouncedRow('"2:3"', "b", "2-bb", 1, 0),
        AnnouncedRow("3", "c", "3-cc", 1, 99),
        AnnouncedRow("4", "d", "4-dd", 0, 0),
    ]


@pytest.mark.sec("SEC-19")
@pytest.mark.parametrize(
    "row",
    [
        7,
        [],
        [1, "a"],
        [1, "a", "1-aa", 0, 0, 0, 0, 0, 0],
        [1, "", "1-aa"],
        [1, "_a", "1-aa"],
        [1, "a\x00", "1-aa"],
        [1, "a" * 241, "1-aa"],
        [1, 2, "1-aa"],
        [1, "a", ""],
        [1, "a", 3],
        [1, "a", "1" * (REVISION_NAME_BYTES_MAX + 1)],
        [1, "a", "1-aa", "1"],
        [1, "a", "1-aa", None],
        [1, "a", "1-aa", 1.5],
    ],
)
def test_a_malformed_row_of_changes_is_refused(row: object) -> None:
    with pytest.raises(PeerProtocolError):
        parse_announced(orjson.dumps([[1, "ok", "1-aa"], row]))


def test_rows_of_propose_changes() -> None:
    body = b'[["a","1-aa"],["b","2-bb",""],["c","3-cc","2-cc",9],["d","1-dd",null]]'
    assert parse_proposed(body) == [
        ProposedRow("a", "1-aa", "", 0),
        ProposedRow("b", "2-bb", "", 0),
        ProposedRow("c", "3-cc", "2-cc", 9),
        ProposedRow("d", "1-dd", "", 0),
    ]


@pytest.mark.parametrize(
    "row",
    [
        None,
        ["a"],
        ["a", "1-aa", 4],
        ["a", "1-aa", "1" * (REVISION_NAME_BYTES_MAX + 1)],
        ["_a", "1-aa"],
        [["a"], "1-aa"],
        ["a", "1-aa", "", 0, 0, 0, 0, 0, 0],
    ],
)
def test_a_malformed_row_of_propose_changes_is_refused(row: object) -> None:
    with pytest.raises(PeerProtocolError):
        parse_proposed(orjson.dumps([row]))


def test_no_more_rows_than_the_limit() -> None:
    rows = [[n, "a", "1-aa"] for n in range(CHANGES_ROWS_RECEIVED_MAX)]
    assert len(parse_announced(orjson.dumps(rows))) == CHANGES_ROWS_RECEIVED_MAX
    with pytest.raises(PeerProtocolError):
        parse_announced(orjson.dumps([*rows, rows[0]]))
    pairs = [["a", "1-aa"]] * CHANGES_ROWS_RECEIVED_MAX
    assert len(parse_proposed(orjson.dumps(pairs))) == CHANGES_ROWS_RECEIVED_MAX
    with pytest.raises(PeerProtocolError):
        parse_proposed(orjson.dumps([*pairs, pairs[0]]))


@pytest.mark.parametrize(
    ("elements", "body"),
    [([], b"[]"), ([0, 0], b"[]"), ([0, 304, 0], b"[0,304]"), ([[], 0], b"[[]]")],
)
def test_trailing_zeros_are_left_out(elements: list[object], body: bytes) -> None:
    assert trimmed(elements) == body


def reply(body: bytes = b"", **properties: str) -> Reply:
    return Reply(1, True, {k.replace("_", "-"): v for k, v in properties.items()}, body)


@pytest.mark.parametrize("code", [408, 429, 502, 503, 504])
def test_only_these_http_codes_are_worth_another_try(code: int) -> None:
    error = error_of_reply(reply(Error_Domain="HTTP", Error_Code=str(code)), "it")
    assert isinstance(error, RefusedError)
    assert error.transient
    assert not error_of_reply(reply(Error_Domain="BLIP", Error_Code=str(code)), "it").transient


def test_an_error_reply_becomes_a_sentence() -> None:
    error = error_of_reply(reply(b"no\nway", Error_Domain="HTTP", Error_Code="403"), "to talk")
    assert (type(error), error.domain, error.code) == (RefusedError, "HTTP", 403)
    assert "to talk" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("code", ["", "x", "-1", "99999999", "²"])
def test_an_error_reply_without_a_usable_code_has_code_0(code: str) -> None:
    error = error_of_reply(reply(b"\xff" * 100_000, Error_Code=code), "it")
    assert (type(error), error.domain, error.code) == (PeerError, "BLIP", 0)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PeerProtocolError("x", domain="LiteCore", code=19), ("LiteCore", 19)),
        (InvalidDocumentError("x"), ("HTTP", 400)),
        (NotFoundError("x"), ("HTTP", 404)),
        (DiskFullError("x"), ("HTTP", 503)),
        (ClosedError("x"), ("HTTP", 503)),
        (CorruptDatabaseError("x"), ("HTTP", 500)),
        (StoreError("x"), ("HTTP", 503)),
        (SyncError("x"), ("HTTP", 500)),
    ],
)
def test_each_error_of_ours_has_a_status(error: SetteeError, status: tuple[str, int]) -> None:
    assert status_of_error(error)[:2] == status


def test_a_disk_error_does_not_tell_a_stranger_about_our_disk() -> None:
    assert "/secret" not in status_of_error(StoreError("/secret/place failed"))[2]
