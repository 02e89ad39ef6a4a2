"""The HTTP/1.1 upgrade that opens a link: heads to read and to write, and its rules.

Room: pure network. Bytes come in, heads and bytes go out.
Touches: settee.errors, settee.limits, settee.logs (for `printable`).
Never touches: sockets, files, asyncio, the wall clock, randomness.

Source: RFC 9112 for heads, RFC 6455 part 4 for the upgrade, wire protocol 1.1 to 1.6 for what
Couchbase Lite and Sync Gateway insist on. A listener is strict: a head that two programs could
read in two ways is refused. A dialler takes what old engines answer: ``HTTP/1.0 101``, or a status
line without a reason.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from settee.errors import ConfigError, NotAPeerError, PeerProtocolError, RefusedError, SyncError
from settee.limits import (
    HTTP_BODY_BYTES_MAX,
    HTTP_HEAD_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_LINE_BYTES_MAX,
)
from settee.logs import printable

__all__ = [
    "Redirect",
    "RequestHead",
    "RequestReader",
    "ResponseHead",
    "ResponseReader",
    "accept_value",
    "basic_credentials",
    "check_switch",
    "check_upgrade",
    "decode_body",
    "path_segments",
    "reason_given",
    "redirect_target",
    "refusal_bytes",
    "request_bytes",
    "switch_bytes",
    "tokens",
]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_BROKEN_LINE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|\0")
_METHOD_BEGIN: Final = re.compile(rb"[A-Z]{1,16}(?: |\Z)")
_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/(\d)\.(\d)\Z")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

_ONCE: Final = frozenset(
    {
        "content-length",
        "host",
        "origin",
        "sec-websocket-accept",
        "sec-websocket-key",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that may stand once: of two, two programs would believe different ones."""

_RESERVED: Final = frozenset(
    {"connection", "content-length", "host", "transfer-encoding", "upgrade", "user-agent"}
)

_PHRASES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    414: "URI Too Long",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class RequestHead(NamedTuple):
    """A request without a body."""

    method: str
    target: str
    """Path and query as they came."""
    headers: dict[str, str]
    """Lower-case names; repeated ones are joined by ``", "``."""


class ResponseHead(NamedTuple):
    """Status line and headers of an answer."""

    status: int
    phrase: str
    headers: dict[str, str]
    """As of a request; but the values of ``Set-Cookie`` are joined by line feeds."""


class _HeadReader(ABC):
    """Gathers bytes up to the empty line, within the limits."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0

    @abstractmethod
    def _fail(self, problem: str, status: int) -> SyncError:
        """Return the error for a head that breaks the rules."""

    def _lines(self, data: bytes) -> list[bytes] | None:
        """Return the lines of the head once it is whole; what follows stays in the buffer."""
        buffer = self._buffer
        buffer += data
        # The last three bytes seen before may begin what is looked for.
        begin = max(0, self._scanned - 3)
        end = buffer.find(b"\r\n\r\n", begin)
        limit = len(buffer) if end < 0 else end
        # Until the end is in sight, the last bytes may be a part of it.
        ending = 3 if end < 0 else 0
        broken = _BROKEN_LINE.search(buffer, begin, limit)
        if broken:
            raise self._fail("a line that does not end in CR LF, or a NUL", 400)
        if limit - ending > HTTP_HEAD_BYTES_MAX:
            raise self._fail(f"a head of more than {HTTP_HEAD_BYTES_MAX} bytes", 431)
        if end < 0:
            if b"\n" not in buffer and limit - 1 > HTTP_LINE_BYTES_MAX:
                raise self._fail(f"a first line of more than {HTTP_LINE_BYTES_MAX} bytes", 414)
            self._scanned = limit
            return None
        lines = bytes(buffer[:end]).split(b"\r\n")
        del buffer[: end + 4]
        self._scanned = 0
        for line in lines:
            if len(line) > HTTP_LINE_BYTES_MAX:
                status = 414 if line is lines[0] else 431
                raise self._fail(f"a line of more than {HTTP_LINE_BYTES_MAX} bytes", status)
        if len(lines) - 1 > HTTP_HEADERS_MAX:
            raise self._fail(f"{len(lines) - 1} headers, at most {HTTP_HEADERS_MAX} accepted", 431)
        return lines

    def _headers(self, lines: list[bytes]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in lines:
            name_bytes, colon, value_bytes = line.partition(b":")
            if not colon or not _NAME.match(name_bytes):
                raise self._fail("a header without a proper name", 400)
            if not _VALUE.match(value_bytes):
                raise self._fail("a control character in a header", 400)
            name = name_bytes.decode("ascii").lower()
            value = value_bytes.decode("latin-1").strip(" \t")
            if name not in headers:
                headers[name] = value
            elif name in _ONCE:
                raise self._fail(f"the header {name} stands twice", 400)
            elif name == "set-cookie":
                headers[name] += "\n" + value  # Its values have commas of their own.
            else:
                headers[name] += ", " + value
        return headers


class RequestReader(_HeadReader):
    """Reads the one request that a client sends before the link is open."""

    def _fail(self, problem: str, status: int) -> SyncError:
        return PeerProtocolError(f"bad HTTP request: {problem}", domain="HTTP", code=status)

    def feed(self, data: bytes) -> RequestHead | None:
        """Take what came; return the head when it is whole.

        Raises PeerProtocolError, domain ``"HTTP"`` and the status to answer with as its code, at
        the first byte that can't belong to a request: nobody waits for a deadline. A body, and
        bytes after the head, are refused too: nothing may come before the 101.
        """
        buffer = self._buffer
        if not buffer and data:
            begin = data[:17]
            if data[0] == 0x16:
                raise self._fail("TLS on a port without TLS; the URL should begin with ws://", 400)
        else:
            begin = bytes(buffer[:17]) + data[:17]
        if begin and not _METHOD_BEGIN.match(begin[:17]):
            raise self._fail("this is not HTTP", 400)
        lines = self._lines(data)
        if lines is None:
            return None
        if buffer:
            raise self._fail("bytes after the request and before its answer", 400)
        match = _REQUEST_LINE.match(lines[0])
        if match is None:
            raise self._fail("a malformed request line", 400)
        if match[3] + match[4] != b"11":
            raise self._fail("only HTTP/1.1 can be upgraded to a WebSocket", 505)
        headers = self._headers(lines[1:])
        if not headers.get("host"):
            raise self._fail("no Host header", 400)
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise self._fail("a request for an upgrade has no body", 400)
        return RequestHead(match[1].decode(), match[2].decode(), headers)


class ResponseReader(_HeadReader):
    """Reads the answer to the upgrade request."""

    def _fail(self, problem: str, status: int) -> SyncError:
        return NotAPeerError(
            f"what answers there does not speak HTTP as a peer does: {problem}",
            domain="WebSocket",
            code=400,
        )

    @property
    def rest(self) -> bytes:
        """What came after the head: the first frames, or a part of the body."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> ResponseHead | None:
        """Take what came; return the head when it is whole. Interim answers (1xx) are skipped.

        Raises NotAPeerError at the first byte that can't belong to an HTTP answer.
        """
        begin = bytes(self._buffer[:7]) + data[:60]
        if not b"HTTP/1.".startswith(begin[:7]):
            raise self._fail(_what_speaks(begin), 400)
        while True:
            lines = self._lines(data)
            if lines is None:
                return None
            match = _STATUS_LINE.match(lines[0])
            if match is None:
                raise self._fail("a malformed status line", 400)
            status = int(match[1])
            if not 100 <= status < 600:
                raise self._fail(f"status {status}", 400)
            if status == 101 or status >= 200:
                phrase = (match[2] or b"").decode("latin-1").strip()
                return ResponseHead(status, phrase, self._headers(lines[1:]))
            data = b""


def _what_speaks(begin: bytes) -> str:
    if begin[0] in (0x15, 0x16):
        return "it speaks TLS; the URL should begin with wss://"
    if begin.startswith(b"SSH-"):
        return "it is an SSH server"
    shown = begin[:40].split(b"\r", 1)[0].split(b"\n", 1)[0]
    return f"it begins with {printable(shown.decode('latin-1'))!r}"


# --- the listener's side -------------------------------------------------------------------------


def tokens(value: str) -> list[str]:
    """Split a comma-separated header value, with or without spaces; empty items fall out."""
    return [token for part in value.split(",") if (token := part.strip(" \t"))]


def check_upgrade(head: RequestHead) -> str:
    """Return the ``Sec-WebSocket-Key`` of a request that may be upgraded.

    Raises PeerProtocolError with the status to answer with: 405 for another method than GET, 426
    for a request that asks for no WebSocket or for another version than 13, 400 for a bad key.
    """
    headers = head.headers
    if head.method != "GET":
        raise _unfit("only GET is answered here", 405)
    if "websocket" not in (token.lower() for token in tokens(headers.get("upgrade", ""))):
        raise _unfit("no upgrade to a WebSocket was asked for", 426)
    if "upgrade" not in (token.lower() for token in tokens(headers.get("connection", ""))):
        raise _unfit("the Connection header does not say Upgrade", 426)
    if headers.get("sec-websocket-version") != "13":
        raise _unfit("only version 13 of WebSocket is spoken here", 426)
    key = headers.get("sec-websocket-key", "")
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != 16:
        raise _unfit("Sec-WebSocket-Key must be 16 bytes in base64", 400)
    return key


def _unfit(problem: str, status: int) -> PeerProtocolError:
    return PeerProtocolError(problem, domain="HTTP", code=status)


def path_segments(target: str) -> tuple[str, ...] | None:
    """Return the decoded segments of a request's path, the query left out.

    None for a path that can name nothing here: bad escapes or UTF-8, control characters, empty
    segments, ``.`` and ``..``, escaped or not. A slash at the end is ignored.
    """
    path = target.split("?", 1)[0]
    if not path.startswith("/") or "#" in path or _ESCAPE.search(path):
        return None
    segments = []
    for raw in path.removesuffix("/")[1:].split("/"):
        try:
            segment = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return None
        if segment in ("", ".", "..") or _CONTROL.search(segment):
            return None
        segments.append(segment)
    return tuple(segments)


def basic_credentials(authorization: str | None) -> tuple[str, str] | None:
    """Return user and password of a ``Basic`` header, or None if it is anything else.

    The scheme's case does not matter; the password may have colons; both are UTF-8.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def accept_value(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` that proves the key was read."""
    digest = hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def switch_bytes(key: str, subprotocol: str, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the 101, in the spelling that Couchbase Lite's strict client takes.

    Raises ConfigError for a header that can't be sent.
    """
    lines = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", accept_value(key)),
    ]
    if subprotocol:
        lines.append(("Sec-WebSocket-Protocol", subprotocol))
    return _head_bytes("HTTP/1.1 101 Switching Protocols", [*lines, *_checked(headers)])


def refusal_bytes(
    status: int,
    reason: str,
    headers: Sequence[tuple[str, str]] = (),
    *,
    as_json: bool = True,
) -> bytes:
    """Return a whole answer that refuses: `reason` is what the other side's user will read."""
    phrase = _PHRASES.get(status, "Refused")
    if as_json:
        content_type = "application/json"
        error = phrase.lower().replace(" ", "_")
        body = json.dumps({"error": error, "reason": reason}, ensure_ascii=False).encode()
    else:
        content_type = "text/plain; charset=utf-8"
        body = reason.encode()
    lines = [
        ("Connection", "close"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        *headers,
    ]
    given = {name.lower() for name, _ in headers}
    if status == 401 and "www-authenticate" not in given:
        lines.append(("WWW-Authenticate", 'Basic realm="settee", charset="UTF-8"'))
    if status == 405:
        lines.append(("Allow", "GET"))
    if status == 426 and "upgrade" not in given:
        lines += [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    return _head_bytes(f"HTTP/1.1 {status} {phrase}", lines) + body


def _head_bytes(first_line: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _checked(headers: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Refuse headers that would break the head, or speak for settee."""
    for name, value in headers:
        low = name.lower()
        if low in _RESERVED or low.startswith("sec-websocket-"):
            raise ConfigError("headers", f"{name} is set by settee itself; leave it out")
        try:
            fits = _NAME.match(name.encode("ascii")) and _VALUE.match(value.encode("latin-1"))
        except UnicodeEncodeError:
            fits = None
        if not fits or not value.strip():
            raise ConfigError(
                "headers",
                f"{printable(name)!r} needs a name of letters, digits and hyphens, and a value of "
                "visible characters on one line",
            )
    return headers


# --- the dialler's side --------------------------------------------------------------------------


def request_bytes(
    *,
    host: str,
    port: int,
    path: str,
    key: str,
    subprotocols: Sequence[str],
    user_agent: str,
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the upgrade request, headers in the order of wire protocol 1.2.

    Raises ConfigError for a header or a path that can't be sent.
    """
    if not re.fullmatch(r"/[\x21-\x7e]*", path):
        raise ConfigError("path", f"{printable(path)!r} must begin with / and be percent-encoded")
    bracketed = f"[{host}]" if ":" in host else host
    first = [("Host", bracketed if port in (80, 443) else f"{bracketed}:{port}")]
    if user_agent:
        _checked([("X-User-Agent", user_agent)])
        first.append(("User-Agent", user_agent))
    rank = {"authorization": 0, "cookie": 1}
    given = sorted(_checked(headers), key=lambda header: rank.get(header[0].lower(), 2))
    last = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Protocol", ",".join(subprotocols)),
    ]
    return _head_bytes(f"GET {path} HTTP/1.1", [*first, *given, *last])


def check_switch(head: ResponseHead, key: str, offered: Sequence[str]) -> str:
    """Return the sub-protocol that a 101 chose.

    Raises NotAPeerError, domain ``"WebSocket"``: 1002 if the answer does not open a WebSocket, 403
    if it chose a sub-protocol that was not offered (wire protocol 1.3).
    """
    headers = head.headers
    problem = ""
    if "upgrade" not in (token.lower() for token in tokens(headers.get("connection", ""))):
        problem = "its Connection header does not say Upgrade"
    elif headers.get("upgrade", "").lower() != "websocket":
        problem = "it does not upgrade to a WebSocket"
    elif headers.get("sec-websocket-accept", "") != accept_value(key):
        problem = "its Sec-WebSocket-Accept does not fit the key that was sent"
    elif headers.get("sec-websocket-extensions"):
        problem = "it uses a WebSocket extension that was not offered"
    chosen = headers.get("sec-websocket-protocol", "")
    if not problem and not chosen:
        problem = "it chose none of the replication protocols " + ", ".join(offered)
    if problem:
        raise NotAPeerError(
            f"what answers there is no replication peer: {problem}", domain="WebSocket", code=1002
        )
    if chosen not in offered:
        raise NotAPeerError(
            f"what answers there chose the protocol {printable(chosen)!r}, but "
            f"{', '.join(offered)} was offered",
            domain="WebSocket",
            code=403,
        )
    return chosen


def decode_body(headers: Mapping[str, str], raw: bytes, ended: bool) -> bytes | None:
    """Return the body of an answer, or None while more has to come.

    `raw` is what came after the head, `ended` whether the connection ended after it. At most
    `HTTP_BODY_BYTES_MAX` are returned; a body that is cut or malformed is returned as far as it is
    readable, since it is only read for its reason.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _decode_chunks(raw, ended)
    length_text = headers.get("content-length", "")
    length = HTTP_BODY_BYTES_MAX
    if length_text.isascii() and length_text.isdigit() and len(length_text) < 20:
        length = min(int(length_text), HTTP_BODY_BYTES_MAX)
    if len(raw) >= length or ended:
        return raw[:length]
    return None


def _decode_chunks(raw: bytes, ended: bool) -> bytes | None:
    pieces: list[bytes] = []
    size_sum = at = 0
    while size_sum < HTTP_BODY_BYTES_MAX:
        stop = raw.find(b"\r\n", at, at + 100)
        size_text = raw[at : max(stop, at)].split(b";")[0].strip()
        if stop >= 0 and not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size_text):
            break
        if stop < 0:
            if not ended and len(raw) - at < 100:
                return None
            break
        size = int(size_text, 16)
        if size == 0:
            break
        piece = raw[stop + 2 : stop + 2 + size]
        pieces.append(piece)
        size_sum += len(piece)
        at = stop + 4 + size
        if len(raw) < at:
            if not ended and size_sum < HTTP_BODY_BYTES_MAX:
                return None
            break
    return b"".join(pieces)[:HTTP_BODY_BYTES_MAX]


def reason_given(head: ResponseHead, body: bytes) -> str:
    """Return why a request was refused, in the other side's words, as one safe line.

    The `reason` of a JSON body, a plain text body, else the reason phrase (wire protocol 1.6).
    """
    kind = head.headers.get("content-type", "").split(";")[0].strip().lower()
    text = ""
    if kind == "application/json":
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict):
            told = answer.get("reason") or answer.get("error")
            text = told if isinstance(told, str) else ""
    elif kind == "text/plain":
        text = body.decode(errors="replace").strip()
    return printable(text.strip() or head.phrase)


class Redirect(NamedTuple):
    """Where a redirect leads."""

    secure: bool
    host: str
    port: int
    path: str
    same_host: bool
    """Whether credentials may be sent there too."""


def redirect_target(*, secure: bool, host: str, port: int, location: str) -> Redirect:
    """Apply wire protocol 1.6 to a ``Location``: a path here, or an ``http(s)://`` URL.

    Raises RefusedError (domain ``"Network"``, code 12) for anything else, and for a redirect that
    would leave TLS.
    """
    if location.startswith("/") and not location.startswith("//"):
        if not re.fullmatch(r"/[\x21-\x7e]*", location):
            raise _lost(location, "it is malformed")
        return Redirect(secure, host, port, location, True)
    try:
        parts = urlsplit(location)
        new_port = parts.port
    except ValueError:
        raise _lost(location, "it is malformed") from None
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise _lost(location, "it is no path and no http or https URL")
    if parts.username is not None or parts.password is not None:
        raise _lost(location, "it carries a user name or password")
    new_secure = parts.scheme in ("https", "wss")
    if secure and not new_secure:
        raise _lost(location, "it would leave TLS")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not re.fullmatch(r"/[\x21-\x7e]*", path):
        raise _lost(location, "it is malformed")
    new_port = new_port or (443 if new_secure else 80)
    # Another port may be another program's, unless it only is the way from ws to wss.
    same_port = new_port == port or (not secure and new_secure and new_port == 443 and port == 80)
    same_host = parts.hostname == host.lower().strip("[]") and same_port
    return Redirect(new_secure, parts.hostname, new_port, path, same_host)


def _lost(location: str, problem: str) -> RefusedError:
    return RefusedError(
        f"the peer redirects to {printable(location)!r}, which is not followed: {problem}",
        domain="Network",
        code=12,
    )
