from __future__ import annotations

import pytest

from settee import ConfigError, PeerFound
from settee.peer.target import Target, database_path, targets_of


@pytest.mark.parametrize(
    ("url", "expected", "path"),
    [
        ("wss://10.0.0.5:4984/inventory", "wss://10.0.0.5:4984/inventory", "/inventory/_blipsync"),
        ("ws://example.com/db/", "ws://example.com/db", "/db/_blipsync"),
        ("wss://example.com/a/b", "wss://example.com/a/b", "/a/b/_blipsync"),
        ("wss://[fe80::1]:80/db", "wss://[fe80::1]:80/db", "/db/_blipsync"),
        ("wss://h/a%20b", "wss://h/a%20b", "/a%20b/_blipsync"),
        (" wss://h:443/db ", "wss://h/db", "/db/_blipsync"),
    ],
)
def test_a_url_is_read_and_written(url: str, expected: str, path: str) -> None:
    target = Target.parse(url)
    assert target.url == expected
    assert target.request_path == path


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://h/db", "wss://host:port/database"),
        ("wss://u:p@h/db", "authenticator="),
        ("wss://h/", "names no database: write wss://h/DATABASE$"),
        ("wss://h:port/db", "not a URL"),
        ("wss://h:70000/db", "not a URL"),
        ("wss://h/db#x", "fragment"),
        ("wss:///db", "names no host"),
    ],
)
def test_a_url_that_can_not_work_is_explained(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Target.parse(url)
    assert caught.value.field == "target"


def test_a_found_peer_gives_all_its_addresses_in_order() -> None:
    found = PeerFound("Kitchen", "k.local.", ("10.0.0.5", "2001:db8::1"), 4984, "/db", True, None)
    urls = [t.url for t in targets_of(found)]
    assert urls == ["wss://10.0.0.5:4984/db", "wss://[2001:db8::1]:4984/db"]


def test_something_that_is_no_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="int"):
        targets_of(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [("Inventory", None, "inventory"), ("x", "/shop/items/", "shop/items"), ("a_1", None, "a_1")],
)
def test_a_database_is_served_under_its_name_in_lower_case(
    name: str, path: str | None, expected: str
) -> None:
    assert database_path(name, path) == expected


@pytest.mark.parametrize("name", ["1st", "my.db", "_x", "-"])
def test_a_name_that_couchbase_lite_can_not_dial_needs_another_path(name: str) -> None:
    with pytest.raises(ConfigError, match="path="):
        database_path(name, None)
