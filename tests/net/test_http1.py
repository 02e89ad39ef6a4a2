"""Heads: the ones that real peers send, the 20 attacks, and what a dialler makes of answers."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.errors import ConfigError, NotAPeerError, PeerProtocolError, RefusedError
from settee.limits import (
    HTTP_BODY_BYTES_MAX,
    HTTP_HEAD_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_LINE_BYTES_MAX,
)
from settee.net import http1
from settee.net.http1 import RequestHead, RequestReader, ResponseHead, ResponseReader

ENGINE = (
    b"GET /auth-srv/_blipsync HTTP/1.1\r\nHost: 127.0.0.1:7381\r\n"
    b"User-Agent: couchbase-lite-core/3.1.11 (0)\r\n"
    b"Authorization: Basic am9lOnMzY3JldA==\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: 53VZTArYFDSYz/Prp7YpWA==\r\n"
    b"Sec-WebSocket-Protocol: BLIP_3+CBMobile_3,BLIP_3+CBMobile_2\r\n\r\n"
)


def head(*lines: str, first: str = "GET /db/_blipsync HTTP/1.1", host: str = "h") -> bytes:
    return "\r\n".join([first, f"Host: {host}", *lines, "", ""]).encode("latin-1")


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: 53VZTArYFDSYz/Prp7YpWA==",
)


def read(wire: bytes, *, dripping: bool = False) -> RequestHead | None:
    reader = RequestReader()
    pieces = [bytes((byte,)) for byte in wire] if dripping else [wire]
    found = [got for piece in pieces if (got := reader.feed(piece)) is not None]
    return found[0] if found else None


# --- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dripping", [False, True])
def test_reads_what_the_engine_sends(dripping: bool) -> None:
    request = read(ENGINE, dripping=dripping)
    assert request is not None
    assert (request.method, request.target) == ("GET", "/auth-srv/_blipsync")
    assert http1.check_upgrade(request) == "53VZTArYFDSYz/Prp7YpWA=="
    assert http1.tokens(request.headers["sec-websocket-protocol"]) == [
        "BLIP_3+CBMobile_3",
        "BLIP_3+CBMobile_2",
    ]
    assert http1.basic_credentials(request.headers["authorization"]) == ("joe", "s3cret")


def test_takes_a_connection_header_of_several_tokens_in_any_case() -> None:
    request = read(head("connection: keep-alive, UPGRADE", *UPGRADE[1:]))
    assert request is not None
    assert http1.check_upgrade(request)


ATTACKS = [
    ("a header line too long", head("X: " + "a" * HTTP_LINE_BYTES_MAX), 431),
    ("a head too long, never ending", b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 20_000, 431),
    ("100,000 headers", head(*["X: y"] * 100_000), 431),
    ("one header too many", head(*[f"X{i}: y" for i in range(HTTP_HEADERS_MAX)]), 431),
    ("a huge list of protocols", head("Sec-WebSocket-Protocol: " + "a," * 100_000), 431),
    ("a request line too long", b"GET /" + b"a" * HTTP_LINE_BYTES_MAX, 414),
    ("a line ended by LF alone", b"GET / HTTP/1.1\nHost: h\n\n", 400),
    ("CR inside a value", head("X: a\rb"), 400),
    ("NUL inside a value", head("X: a\0b"), 400),
    ("a control character inside a value", head("X: a\x0bb"), 400),
    ("a folded header", head("X: a", " b"), 400),
    ("a space before the colon", head("X : a"), 400),
    ("a header without a name", head(": a"), 400),
    ("two Host headers", head("Host: other"), 400),
    ("two Upgrade headers", head("Upgrade: websocket", "Upgrade: h2c"), 400),
    ("two keys", head("Sec-WebSocket-Key: a", "Sec-WebSocket-Key: b"), 400),
    ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    ("a body", head("Content-Length: 5"), 400),
    ("a chunked body", head("Transfer-Encoding: chunked"), 400),
    ("pipelining", head() + b"GET", 400),
    ("HTTP/1.0", head(first="GET / HTTP/1.0"), 505),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("an absolute URL", head(first="GET http://h/ HTTP/1.1"), 400),
    ("a target with a space", head(first="GET /a b HTTP/1.1"), 400),
    ("TLS", bytes.fromhex("1603010200010001fc0303"), 400),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    ("zeros", bytes(100), 400),
    ("a method too long", b"A" * 100, 400),
]


@pytest.mark.sec("SEC-05")
@pytest.mark.parametrize(("name", "wire", "status"), ATTACKS, ids=[a[0] for a in ATTACKS])
def test_refuses(name: str, wire: bytes, status: int) -> None:
    began = time.process_time()
    with pytest.raises(PeerProtocolError) as caught:
        read(wire)
    assert caught.value.code == status
    assert time.process_time() - began < 0.05


@pytest.mark.sec("SEC-05")
@pytest.mark.parametrize("name", ["NUL inside a value", "two Host headers", "TLS", "SSH", "zeros"])
def test_refuses_in_single_bytes_too(name: str) -> None:
    wire, status = next((wire, status) for what, wire, status in ATTACKS if what == name)
    with pytest.raises(PeerProtocolError) as caught:
        read(wire, dripping=True)
    assert caught.value.code == status


@pytest.mark.sec("SEC-04")
@pytest.mark.parametrize("begin", [b"\x16", b"\x00", b"SSH-", b"get "])
def test_refuses_garbage_at_its_first_bytes(begin: bytes) -> None:
    with pytest.raises(PeerProtocolError):
        RequestReader().feed(begin)


@pytest.mark.parametrize("dripping", [False, True])
def test_takes_heads_of_just_the_limits(dripping: bool) -> None:
    longest = "X: " + "a" * (HTTP_LINE_BYTES_MAX - 3)
    assert read(head(longest), dripping=dripping) is not None
    many = [f"X{i}: y" for i in range(HTTP_HEADERS_MAX - 1)]
    assert read(head(*many), dripping=dripping) is not None
    target = "/" + "a" * (HTTP_LINE_BYTES_MAX - len("GET / HTTP/1.1"))
    assert read(head(first=f"GET {target} HTTP/1.1"), dripping=dripping) is not None
    rest = HTTP_HEAD_BYTES_MAX - len(head(longest)) + 4 - len("\r\nY: ")
    full = head(longest, "Y: " + "b" * rest)
    assert len(full) == HTTP_HEAD_BYTES_MAX + 4
    assert read(full, dripping=dripping) is not None
    with pytest.raises(PeerProtocolError):
        read(head(longest, "Y: " + "b" * (rest + 1)), dripping=dripping)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (UPGRADE[1:], 426),
        (UPGRADE[:1] + UPGRADE[2:], 426),
        ((*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]), 426),
        (UPGRADE[:3], 400),
        ((*UPGRADE[:3], "Sec-WebSocket-Key: c2hvcnQ="), 400),
        ((*UPGRADE[:3], "Sec-WebSocket-Key: !!!!"), 400),
    ],
)
def test_refuses_a_request_that_is_no_upgrade(lines: tuple[str, ...], status: int) -> None:
    request = read(head(*lines))
    assert request is not None
    with pytest.raises(PeerProtocolError) as caught:
        http1.check_upgrade(request)
    assert caught.value.code == status


def test_refuses_other_methods() -> None:
    request = read(head(*UPGRADE, first="POST /db/_blipsync HTTP/1.1"))
    assert request is not None
    with pytest.raises(PeerProtocolError) as caught:
        http1.check_upgrade(request)
    assert caught.value.code == 405


@pytest.mark.sec("SEC-06")
@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/db/_blipsync", ("db", "_blipsync")),
        ("/db/_blipsync/?client=sgr2", ("db", "_blipsync")),
        ("/d%62/_blipsync", ("db", "_blipsync")),
        ("/a%2Fb/_blipsync", ("a/b", "_blipsync")),
        ("/..", None),
        ("/%2e%2e/x", None),
        ("/a/./b", None),
        ("/%00", None),
        ("/a%0ab", None),
        ("/%ff", None),
        ("/%zz", None),
        ("//db", None),
        ("/", None),
        ("/a#b", None),
        ("*", None),
    ],
)
def test_decodes_the_path(target: str, segments: tuple[str, ...] | None) -> None:
    assert http1.path_segments(target) == segments


def basic(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(raw).decode()


@pytest.mark.sec("SEC-08")
@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (basic("bob:pass"), ("bob", "pass")),
        (basic("bob:pa:ss"), ("bob", "pa:ss")),
        (basic("jürgen:grün"), ("jürgen", "grün")),
        (basic("bob:pass").replace("Basic", "bAsIc"), ("bob", "pass")),
        (basic(":"), ("", "")),
        (basic("nocolon"), None),
        (basic(b"bob:\xff"), None),
        (f"{basic('a:b')}, {basic('c:d')}", None),
        ("Basic !!!", None),
        ("Bearer abc", None),
        ("Basic", None),
        ("", None),
        (None, None),
    ],
)
def test_reads_basic_credentials(header: str | None, credentials: tuple[str, str] | None) -> None:
    assert http1.basic_credentials(header) == credentials


# --- what a listener answers ---------------------------------------------------------------------


def test_proves_that_it_read_the_key_as_in_the_captured_answer() -> None:
    assert http1.accept_value("k1aYCPLNLhWLZJLZc61h3A==") == "IMN3OIAhpGTocIOzHcmgvB4ceGE="


def test_switches_in_the_spelling_that_the_engine_takes() -> None:
    lines = http1.switch_bytes("k1aYCPLNLhWLZJLZc61h3A==", "BLIP_3+CBMobile_3").split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 101 ")
    assert b"Connection: Upgrade" in lines
    assert b"Upgrade: websocket" in lines
    assert b"Sec-WebSocket-Accept: IMN3OIAhpGTocIOzHcmgvB4ceGE=" in lines
    assert b"Sec-WebSocket-Protocol: BLIP_3+CBMobile_3" in lines
    assert all(b": " in line and line.split(b": ")[1] for line in lines[1:-2])
    assert lines[-2:] == [b"", b""]


def test_refuses_with_a_reason_that_a_dialler_reads() -> None:
    wire = http1.refusal_bytes(404, "no database “x” here")
    reader = ResponseReader()
    answer = reader.feed(wire)
    assert answer is not None
    body = http1.decode_body(answer.headers, reader.rest, ended=False)
    assert body is not None
    assert json.loads(body)["error"] == "not_found"
    assert http1.reason_given(answer, body) == "no database “x” here"
    assert answer.headers["connection"] == "close"


def test_says_how_to_authenticate_unless_the_caller_does() -> None:
    assert b"WWW-Authenticate: Basic realm=" in http1.refusal_bytes(401, "no")
    assert b"Basic" not in http1.refusal_bytes(401, "no", [("WWW-Authenticate", "Bearer")])
    assert b"Allow: GET" in http1.refusal_bytes(405, "no")
    assert b"Sec-WebSocket-Version: 13" in http1.refusal_bytes(426, "no")


# --- what a dialler sends and reads --------------------------------------------------------------


def request(**changes: object) -> bytes:
    plain: dict[str, object] = {
        "host": "h",
        "port": 4984,
        "path": "/db/_blipsync",
        "key": "53VZTArYFDSYz/Prp7YpWA==",
        "subprotocols": ("A", "B"),
        "user_agent": "settee/1",
    }
    return http1.request_bytes(**{**plain, **changes})  # type: ignore[arg-type]


def test_sends_the_headers_in_the_engines_order() -> None:
    wire = request(headers=[("X-App", "1"), ("Cookie", "a=b"), ("Authorization", "Basic eA==")])
    names = [line.split(b":")[0].decode() for line in wire.split(b"\r\n")[1:-2]]
    assert names == [
        *["Host", "User-Agent", "Authorization", "Cookie", "X-App", "Connection", "Upgrade"],
        *["Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol"],
    ]
    assert b"\r\nConnection: Upgrade\r\n" in wire
    assert b"\r\nSec-WebSocket-Protocol: A,B\r\n" in wire
    back = read(wire)
    assert back is not None
    assert http1.check_upgrade(back)


@pytest.mark.parametrize(
    ("host", "port", "header"),
    [
        ("h", 443, "h"),
        ("h", 80, "h"),
        ("h", 81, "h:81"),
        ("::1", 443, "[::1]"),
        ("::1", 9, "[::1]:9"),
    ],
)
def test_names_the_host_as_the_protocol_says(host: str, port: int, header: str) -> None:
    assert f"\r\nHost: {header}\r\n".encode() in request(host=host, port=port)


@pytest.mark.parametrize(
    "pair",
    [
        ("X-A", "a\r\nEvil: b"),
        ("X A", "b"),
        ("X-A", ""),
        ("X-A", "snow\u2603"),
        ("Host", "other"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Upgrade", "h2c"),
    ],
)
def test_refuses_to_send_a_header_that_would_break_the_request(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError):
        request(headers=[pair])


@pytest.mark.parametrize("path", ["db", "/a b", "/a\r\nb", "/ü"])
def test_refuses_to_send_a_path_that_would_break_the_request(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        request(path=path)


def answer(wire: bytes, *, dripping: bool = False) -> tuple[ResponseHead | None, bytes]:
    reader = ResponseReader()
    found = None
    for piece in [bytes((byte,)) for byte in wire] if dripping else [wire]:
        found = reader.feed(piece) if found is None else found
    return found, reader.rest


SWITCH = http1.switch_bytes("key", "A")


@pytest.mark.parametrize(
    ("status_line", "status"),
    [
        (b"HTTP/1.1 101 Upgraded", 101),
        (b"HTTP/1.0 101 Upgraded", 101),
        (b"HTTP/1.1 101", 101),
        (b"HTTP/1.1 499 ", 499),
    ],
)
@pytest.mark.parametrize("dripping", [False, True])
def test_takes_the_status_lines_of_old_engines(
    status_line: bytes, status: int, dripping: bool
) -> None:
    found, _ = answer(status_line + b"\r\nContent-Length: 0\r\n\r\n", dripping=dripping)
    assert found is not None
    assert found.status == status


def test_keeps_the_frames_that_come_with_the_answer() -> None:
    found, rest = answer(SWITCH + b"\x82\x01a")
    assert found is not None
    assert http1.check_switch(found, "key", ["A"]) == "A"
    assert rest == b"\x82\x01a"


def test_skips_interim_answers() -> None:
    found, _ = answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + SWITCH)
    assert found is not None
    assert found.status == 101


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (bytes.fromhex("15030100020228"), "wss://"),
        (b"220 mail ESMTP\r\n", "220 mail"),
        (b"HTTP/2 200\r\n\r\n", "HTTP/2"),
        (b"HTTP/1.1 20 x\r\n\r\n", "status line"),
        (b"HTTP/1.1 999 x\r\n\r\n", "999"),
        (b"HTTP/1.1 200 OK\r\nbad\r\n\r\n", "name"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100 + b"\r\n", "headers"),
    ],
)
@pytest.mark.parametrize("dripping", [False, True])
def test_says_what_answers_instead_of_a_peer(wire: bytes, says: str, dripping: bool) -> None:
    with pytest.raises(NotAPeerError, match=says if not dripping else None):
        answer(wire, dripping=dripping)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"upgrade": "h2c"}, 1002),
        ({"connection": "close"}, 1002),
        ({"sec-websocket-accept": "wrong"}, 1002),
        ({"sec-websocket-extensions": "permessage-deflate"}, 1002),
        ({"sec-websocket-protocol": ""}, 1002),
        ({"sec-websocket-protocol": "C"}, 403),
        ({"sec-websocket-protocol": "A, B"}, 403),
    ],
)
def test_refuses_a_switch_that_does_not_fit(changes: dict[str, str], code: int) -> None:
    found, _ = answer(SWITCH)
    assert found is not None
    with pytest.raises(NotAPeerError) as caught:
        http1.check_switch(found._replace(headers={**found.headers, **changes}), "key", ["A", "B"])
    assert (caught.value.domain, caught.value.code) == ("WebSocket", code)


CHUNKED = {"transfer-encoding": "chunked"}


@pytest.mark.parametrize(
    ("headers", "raw", "ended", "body"),
    [
        ({"content-length": "3"}, b"abcdef", False, b"abc"),
        ({"content-length": "3"}, b"ab", False, None),
        ({"content-length": "3"}, b"ab", True, b"ab"),
        ({"content-length": "0"}, b"", False, b""),
        ({"content-length": "9" * 30}, b"ab", True, b"ab"),
        ({}, b"ab", False, None),
        ({}, b"ab", True, b"ab"),
        ({}, b"a" * (HTTP_BODY_BYTES_MAX + 1), False, b"a" * HTTP_BODY_BYTES_MAX),
        (CHUNKED, b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", False, b"abcde"),
        (CHUNKED, b"3\r\nabc\r\n2\r\nd", False, None),
        (CHUNKED, b"3\r\nabc\r\n2", False, None),
        (CHUNKED, b"3\r\nabc\r\n2\r\nd", True, b"abcd"),
        (CHUNKED, b"-3\r\nabc\r\n", False, b""),
        (CHUNKED, b"ffffffff\r\n" + b"a" * 70_000, False, b"a" * HTTP_BODY_BYTES_MAX),
    ],
)
def test_reads_the_body_of_a_refusal(
    headers: dict[str, str], raw: bytes, ended: bool, body: bytes | None
) -> None:
    assert http1.decode_body(headers, raw, ended) == body


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        ("application/json", b'{"error":"x","reason":"no such database"}', "no such database"),
        ("application/json; charset=utf-8", b'{"error":"x"}', "x"),
        ("application/json", b'{"reason":5}', "Phrase"),
        ("application/json", b"[" * 100_000, "Phrase"),
        ("application/json", b"not json", "Phrase"),
        ("text/plain", b" I only speak BLIP \n", "I only speak BLIP"),
        ("text/plain", b"two\nlines\x1b[31m", "two\\x0alines\\x1b[31m"),
        ("text/html", b"<html>", "Phrase"),
        ("", b"", "Phrase"),
    ],
)
def test_finds_the_reason(kind: str, body: bytes, reason: str) -> None:
    assert http1.reason_given(ResponseHead(404, "Phrase", {"content-type": kind}), body) == reason


@pytest.mark.parametrize(
    ("secure", "location", "leads_to"),
    [
        (True, "/other", (True, "h", 4984, "/other", True)),
        (True, "https://h:4984/x", (True, "h", 4984, "/x", True)),
        (True, "https://h/x", (True, "h", 443, "/x", False)),
        (True, "https://other:4984/x?y", (True, "other", 4984, "/x?y", False)),
        (False, "http://h:4984/x", (False, "h", 4984, "/x", True)),
        (False, "https://h:4984/x", (True, "h", 4984, "/x", True)),
        (False, "https://[::1]:5/x", (True, "::1", 5, "/x", False)),
    ],
)
def test_follows_redirects(secure: bool, location: str, leads_to: tuple[object, ...]) -> None:
    assert leads_to == http1.redirect_target(secure=secure, host="h", port=4984, location=location)


def test_the_way_from_ws_to_wss_at_the_usual_ports_stays_at_the_host() -> None:
    assert http1.redirect_target(secure=False, host="h", port=80, location="https://h/x").same_host
    assert not http1.redirect_target(
        secure=False, host="h", port=81, location="https://h/x"
    ).same_host


@pytest.mark.sec("SEC-29")
@pytest.mark.parametrize(
    "location",
    [
        "http://h:4984/x",
        "//other/x",
        "x",
        "",
        "ftp://h/x",
        "https://bob:pw@h/x",
        "https://h:99999/x",
        "https:///x",
        "/a b",
    ],
)
def test_does_not_follow_out_of_tls_nor_into_nonsense(location: str) -> None:
    with pytest.raises(RefusedError) as caught:
        http1.redirect_target(secure=True, host="h", port=4984, location=location)
    assert (caught.value.domain, caught.value.code) == ("Network", 12)
    assert not caught.value.transient


# --- whatever comes ------------------------------------------------------------------------------


@pytest.mark.sec("SEC-05")
@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_junk_is_a_request_or_refused(junk: bytes) -> None:
    for begin in (b"", b"GET / HTTP/1.1\r\nHost: h\r\n"):
        try:
            read(begin + junk)
        except PeerProtocolError as error:
            assert error.code in (400, 414, 431, 505)  # noqa: PT017


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=100)
def test_junk_is_an_answer_or_refused(junk: bytes, ended: bool) -> None:
    for begin in (b"", b"HTTP/1.1 ", b"HTTP/1.1 404 x\r\n", b"HTTP/1.1 404 x\r\na: b\r\n\r\n"):
        try:
            found, rest = answer(begin + junk)
        except NotAPeerError:
            continue
        if found is not None:
            assert len(http1.decode_body(CHUNKED, rest, ended) or b"") <= 200
            assert "\n" not in http1.reason_given(found, rest)
