from __future__ import annotations

import datetime
import enum
import types
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settee.db.blob import Blob
from settee.db.collection import Collection
from settee.db.database import Database
from settee.db.document import Document
from settee.db.values import decode, moment_of, plain, text_of
from settee.errors import CorruptDatabaseError, InvalidDocumentError, UsageError
from settee.limits import INTEGER_MAX, INTEGER_MIN, JSON_DEPTH_MAX

UTC = datetime.UTC
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(
    lambda key: not key.startswith("_")
)


@pytest.mark.feature("DOC-12")
@given(body=st.dictionaries(KEYS, JSON_VALUES, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_values_come_back_as_they_were(items: Collection, body: dict[str, Any]) -> None:
    items["d"] = body
    read = items["d"]
    assert read == body
    assert repr(dict(read)) == repr(body)  # 1 is not 1.0, -0.0 not 0.0, and the order is kept.


@pytest.mark.feature("DOC-13")
@given(
    moment=st.datetimes(
        timezones=st.integers(-1439, 1439).map(
            lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
        )
    )
)
@settings(max_examples=60)
def test_a_moment_comes_back_as_the_same_moment(moment: datetime.datetime) -> None:
    text = text_of(moment)
    back = moment_of(text, "f")
    assert back == moment
    assert back is not None
    assert back.utcoffset() == moment.utcoffset()


def test_a_datetime_is_stored_as_iso_text_with_its_offset(items: Collection) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    items["d"] = {
        "utc": datetime.datetime(2026, 11, 23, 12, 30, tzinfo=UTC),
        "zone": [datetime.datetime(2026, 11, 23, 12, 30, 1, 250000, tzinfo=zone)],
        "day": datetime.date(2026, 11, 23),
    }
    assert dict(items["d"]) == {
        "utc": "2026-11-23T12:30:00+00:00",
        "zone": ["2026-11-23T12:30:01.250000+02:00"],
        "day": "2026-11-23",
    }


def test_an_offset_with_seconds_is_written_in_utc() -> None:
    odd = datetime.timezone(datetime.timedelta(minutes=53, seconds=28))
    moment = datetime.datetime(1890, 1, 1, tzinfo=odd)
    assert text_of(moment).endswith("+00:00")
    assert moment_of(text_of(moment), "f") == moment


def test_a_datetime_without_zone_is_refused_naming_its_path(items: Collection) -> None:
    with pytest.raises(InvalidDocumentError, match=r"'d': a\.b\[1\]: .*no time zone"):
        items["d"] = {"a": {"b": [1, datetime.datetime(2026, 1, 1)]}}  # noqa: DTZ001
    assert "d" not in items


def test_text_without_an_offset_is_read_as_local_time() -> None:
    naive = datetime.datetime(2026, 7, 1, 12)  # noqa: DTZ001
    assert moment_of("2026-07-01T12:00:00", "f") == naive.astimezone()


def test_a_z_at_the_end_is_utc() -> None:
    assert moment_of("2026-07-01T12:00:00.123Z", "f") == datetime.datetime(
        2026, 7, 1, 12, 0, 0, 123000, tzinfo=UTC
    )


@pytest.mark.parametrize("value", ["soon", 5, ["2026-01-01"], True])
def test_what_is_no_date_is_an_error_naming_the_field(value: object) -> None:
    with pytest.raises(InvalidDocumentError, match=r"^when: "):
        moment_of(value, "when")


class Shelf(enum.IntEnum):
    TOP = 3


class Fruit(enum.StrEnum):
    PEAR = "pear"


def test_tuples_mappings_and_enumerations_become_plain_values(items: Collection) -> None:
    items["d"] = {
        "t": (1, (2, [3])),
        "m": types.MappingProxyType({"k": Document(None, {"v": 1})}),
        "e": [Shelf.TOP, Fruit.PEAR],
        "when": datetime.date(2026, 1, 1),
    }
    read = items["d"]
    assert dict(read) == {
        "t": [1, [2, [3]]],
        "m": {"k": {"v": 1}},
        "e": [3, "pear"],
        "when": "2026-01-01",
    }
    assert type(read["e"][1]) is str


BAD: list[tuple[dict[Any, Any], str]] = [
    ({"a": [{"price": float("nan")}]}, r"a\[0\]\.price"),
    ({"a": float("-inf")}, "a: "),
    ({"a": {1: "x"}}, "a: the key 1"),
    ({1: "x"}, "the key 1"),
    ({"a": INTEGER_MAX + 1}, "a: .*64 bits"),
    ({"a": INTEGER_MIN - 1}, "a: .*64 bits"),
    ({"a": ["\ud800"]}, r"a\[0\]: .*surrogate"),
    ({"\udfff": 1}, "surrogate"),
    ({"a": b"x"}, "a: bytes is not JSON; use Blob"),
    ({"a": {1, 2}}, "a: set has no order"),
    ({"a": uuid.UUID(int=5)}, "a: UUID is not JSON"),
    ({"a": object()}, "a: object can't be stored"),
    ({"a": 1j}, "a: complex"),
    ({"_id": "x"}, "'_id' is reserved"),
    ({"ok": datetime.date(2026, 1, 1), "_rev": "x"}, "'_rev' is reserved"),
]


@pytest.mark.feature("DOC-12")
@pytest.mark.parametrize(("body", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_no_peer_would_take_is_refused_naming_its_path(
    items: Collection, body: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDocumentError, match=f"the document 'bad': .*{message}"):
        items["bad"] = body
    with pytest.raises(InvalidDocumentError, match=message):
        items.add(body)
    with pytest.raises(InvalidDocumentError, match=message):
        items.save_many([("good", {"a": 1}), ("bad", body)])
    assert len(items) == 0


def nested(depth: int, leaf: object = 1) -> dict[str, Any]:
    value: Any = leaf
    for _ in range(depth):
        value = {"a": value}
    result: dict[str, Any] = value
    return result


def test_nesting_is_bounded_at_the_limit_and_not_before(items: Collection) -> None:
    items["deep"] = nested(JSON_DEPTH_MAX)
    items["dated"] = nested(JSON_DEPTH_MAX, datetime.date(2026, 1, 1))
    assert items["deep"] == nested(JSON_DEPTH_MAX)
    for leaf in (1, datetime.date(2026, 1, 1)):
        with pytest.raises(InvalidDocumentError, match="nested deeper than 100"):
            items["deeper"] = nested(JSON_DEPTH_MAX + 1, leaf)


def test_a_value_that_holds_itself_is_an_error_not_a_crash(items: Collection) -> None:
    body: dict[str, Any] = {"when": datetime.date(2026, 1, 1)}
    body["self"] = body
    with pytest.raises(InvalidDocumentError, match="holding itself"):
        items["loop"] = body


def test_underscores_below_the_top_are_free(items: Collection) -> None:
    items["d"] = {"a": {"_id": 1}}
    assert items["d"]["a"] == {"_id": 1}


def test_plain_names_blobs_and_needs_their_digest(tmp_path: Any) -> None:
    assert plain({"b": [Blob.from_bytes(b"hello")]}) == {
        "b": [{"@type": "blob", "digest": "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=", "length": 5}]
    }
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(UsageError, match="no digest yet"):
        plain({"b": Blob.from_file(tmp_path / "f")})


def test_a_body_without_the_flag_is_not_searched_for_blobs(items: Collection) -> None:
    body = b'{"b":{"@type":"blob","digest":"sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="}}'
    blobs = items._database._store.blobs
    assert isinstance(decode(body, 0, blobs, None)["b"], dict)
    assert isinstance(decode(body, 2, blobs, None)["b"], Blob)


@pytest.mark.parametrize("body", [b'{"a": "\xff"}', b'{"a": ', b"[]", b"null"])
def test_a_stored_body_that_can_not_have_been_stored_is_damage(db: Database, body: bytes) -> None:
    with pytest.raises(CorruptDatabaseError, match="restore"):
        decode(body, 0, db._store.blobs, None)
