"""Where the inputs begin: what real peers said to each other, cut to the form of each target."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from zeroconf import DNSOutgoing, ServiceInfo
from zeroconf.const import _FLAGS_AA, _FLAGS_QR_RESPONSE

from settee.blip.codec import Decoder
from settee.blip.frame import ERR, MORE_COMING, MSG, NO_REPLY, TYPE_MASK, read_header
from settee.blip.message import decode_message
from settee.doc.version import RTE
from settee.identity import TLSIdentity
from settee.net.frames import pack, pack_control
from tests.captures import load, scenarios
from tests.fuzz.dialogues import BODIES, KEYS, PROFILES
from tests.fuzz.reading import joined

__all__ = ["seeds"]

_BYTES_MAX: Final = 4096
"""Of an input to begin with: short ones are mutated better, and faster."""


class Said(NamedTuple):
    """A message out of a recording."""

    direction: str
    kind: int
    number: int
    no_reply: bool
    properties: dict[str, str]
    body: bytes


@functools.cache
def conversations() -> list[list[Said]]:
    """Return what was said on each recorded connection, messages put together again."""
    return [
        list(_said(connection)) for name in scenarios() for connection in load(name).connections
    ]


def _said(connection: object) -> Iterator[Said]:
    decoders = {"c2s": Decoder(), "s2c": Decoder()}
    pieces: dict[tuple[str, int, bool], bytes] = {}
    for direction, kind, data in connection:  # type: ignore[attr-defined]
        if kind != "binary":
            continue
        number, flags, at = read_header(data)
        what = flags & TYPE_MASK
        if what > ERR:
            continue
        key = direction, number, what == MSG
        payload = pieces.pop(key, b"") + decoders[direction].payload(data, at, flags)
        if flags & MORE_COMING:
            pieces[key] = payload
            continue
        properties, body = decode_message(payload)
        yield Said(direction, what, number, bool(flags & NO_REPLY), properties, body)


@functools.cache
def _spoken() -> list[tuple[str, list[bytes]]]:
    """Return the frames of each direction of each recorded connection, not too many."""
    result = []
    for name in scenarios():
        for connection in load(name).connections:
            for direction in ("c2s", "s2c"):
                frames = [
                    bytes(item.data)
                    for item in connection
                    if item.kind == "binary"
                    and item.direction == direction
                    and isinstance(item.data, bytes)
                ]
                result.append((direction, frames[:40]))
    return result


def _blip_frames() -> Iterator[bytes]:
    for _, frames in _spoken():
        yield b"\x00" + b"".join(b"\x01" + joined(frame) for frame in frames)
    for conversation in conversations():
        pieces = [b"\x02"]
        for said in conversation[:12]:
            head = bytes((2, min(said.number, 255), said.kind | (NO_REPLY if said.no_reply else 0)))
            properties = b"".join(f"{k}\0{v}\0".encode() for k, v in said.properties.items())
            if len(properties) < 128:
                pieces.append(head + joined(bytes((len(properties),)) + properties + said.body))
        yield b"".join(pieces)


def _blip_properties() -> Iterator[bytes]:
    for said in _messages():
        properties = b"".join(f"{k}\0{v}\0".encode() for k, v in said.properties.items())
        if len(properties) < 128:
            yield bytes((len(properties),)) + properties + said.body[:100]


def _messages() -> Iterator[Said]:
    for conversation in conversations():
        yield from conversation[:60]


def _websocket() -> Iterator[bytes]:
    for direction, frames in _spoken():
        short = [frame for frame in frames if len(frame) < 600][:12]
        keys = b"\x01\x02\x03\x04" * len(short) if direction == "c2s" else None
        yield bytes((direction == "c2s",)) + pack(short, keys)
    for key in (None, b"\x00\x01\x02\x03"):
        controls = [pack_control(0x9, b"hm", key), pack_control(0x8, b"\x03\xe8bye", key)]
        yield bytes((key is not None,)) + b"".join(controls)
        masked = 0x80 if key else 0
        parts = [(0x02, b"one"), (0x00, b"two"), (0x80, b"three")]
        body = b"".join(
            bytes((first, masked | len(data))) + (b"\0\0\0\0" if key else b"") + data
            for first, data in parts
        )
        yield bytes((key is not None,)) + body
        yield bytes((key is not None, 0x82, masked | 126, 0x01, 0x00)) + b"\0" * 260


def _http() -> Iterator[bytes]:
    for name in scenarios():
        for connection in load(name).connections:
            for item in connection:
                if item.kind == "http":
                    text = item.data if isinstance(item.data, str) else item.data.decode()
                    yield b"\x00" + text.encode().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    answers = [
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 17\r\n"
        b'\r\n{"reason":"none"}',
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
        b"3\r\nyes\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: https://kitchen:4984/x\r\n"
        b"Set-Cookie: a=b; Path=/; Max-Age=10; Domain=example.com; Secure\r\n"
        b"Set-Cookie: c=d; Expires=Wed, 09 Jun 2027 10:18:14 GMT\r\n\r\n",
        b"Basic Ym9iOnNlY3JldA==",
        b"/db/%e2%82%ac/..%2f?x=1",
        b"https://user:word@kitchen.example.com:4984/path",
    ]
    for answer in answers:
        yield b"\x01" + answer


def _documents() -> Iterator[bytes]:
    for said in _messages():
        if said.body[:1] == b"{":
            yield said.body
    yield from (body for body in BODIES if body[:1] == b"{")
    yield b'{"a":[1,-2,3.5e10,true,null,"\\u20ac\\ud83d\\ude00"],"b":{"c":{"d":[[[]]]}}}'
    yield b'{"big":18446744073709551615,"small":-9223372036854775808}'


def _names() -> Iterator[bytes]:
    for said in _messages():
        properties = said.properties
        if "rev" in properties:
            yield f"{properties['rev']},{properties.get('history', '')}".encode()
        for key in ("id", "digest", "since"):
            if key in properties:
                yield properties[key].encode()
    yield (
        b"18ae5d8bc35d0000@AAAAAAAAAAAAAAAAAAAAAQ, 17ae@BBBBBBBBBBBBBBBBBBBBBQ; 16@" + RTE.encode()
    )
    yield b"3-ff18ae5d8bc35d000000112233445566778899aabbccddeeff,2-faded000aabbccdd,1-abcd"
    yield b"shop.items"


def _deltas() -> Iterator[bytes]:
    for conversation in conversations():
        bodies = [s.body for s in conversation if s.properties.get("Profile") == "rev"]
        deltas = [s.body for s in conversation if "deltaSrc" in s.properties]
        for delta in deltas:
            for old in bodies[:4]:
                yield joined(old) + delta
    old = b'{"a":"%b","b":[1,2,3],"c":{"d":null}}' % (b"text " * 20)
    for delta in (
        b'{"a":["10=3-2+xy|87=",0,2],"b":{"0":5,"2-":[9]},"c":[],"n":1}',
        b'{"a":[],"b":{"1":[{"x":1}]},"c":{"d":[0],"e":{}}}',
    ):
        yield joined(old) + delta


def _rows() -> Iterator[bytes]:
    for said in _messages():
        if said.body[:2] == b"[[":
            yield said.body
    yield from (body for body in BODIES if body[:1] == b"[")


def _checkpoints() -> Iterator[bytes]:
    found = [s.body for s in _messages() if b'"local"' in s.body or b'"remote"' in s.body]
    for body in found:
        yield joined(body) + body
    yield joined(b'{"local":7,"remote":9}') + b'{"local":5,"localCompleted":[0,6,8,2],"remote":4}'


def _dns() -> Iterator[bytes]:
    full = "_cblistservicesync._tcp.local."
    info = ServiceInfo(
        full,
        f"kitchen.{full}",
        port=4984,
        addresses=[b"\xc0\x00\x02\x01", b"\xfe\x80" + b"\0" * 13 + b"\x01"],
        properties={"v": "1", "tls": "1", "id": "00112233aabbccdd", "path": "/db"},
        server="settee-00.local.",
    )
    out = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
    for record in (info.dns_pointer(), info.dns_service(), info.dns_text(), *info.dns_addresses()):
        out.add_answer_at_time(record, 0)
    yield from out.packets()
    yield b"\0\0\x84\0\0\0\0\1\0\0\0\0\xc0\x0c\0\x0c\0\1\0\0\0\x78\0\2\xc0\x0c"


def _certificates() -> Iterator[bytes]:
    authority = TLSIdentity.create("An authority", authority=True)
    for made in (authority, TLSIdentity.create("kitchen", issuer=authority, hosts=["127.0.0.1"])):
        info = made.info
        yield info.der
        yield info.pem
        yield info.fingerprint.encode()
        yield b"SHA256:" + info.fingerprint.upper().encode()
    yield b"Basic Ym9iOnNlY3JldA=="
    yield b"basic " + b"Ym9iOnM6ZQ=="


def written(said: Said) -> bytes:
    """Write a message as `dialogues` reads it."""
    profile = said.properties.get("Profile", "")
    index = PROFILES.index(profile) if profile in PROFILES else PROFILES.index("unheardOf")
    known = [(k, v.encode()) for k, v in said.properties.items() if k in KEYS][:7]
    head = bytes((3 if said.kind != MSG else 0,)) if not said.no_reply else b"\x08"
    if said.kind == ERR:
        head = b"\x07"
    pieces = [head, bytes((index, len(known)))]
    for key, value in known:
        value = value[:63]
        pieces.append(bytes((KEYS.index(key), 0xC0 | len(value))) + value)
    pieces.append(b"\xff" + joined(said.body))
    if said.kind != MSG:
        pieces.append(bytes(((said.number - 1) % 24,)))
    return b"".join(pieces)


def _dialogue(direction: str, beat: bytes) -> Iterator[bytes]:
    for conversation in conversations():
        for first in (b"\x00", b"\x8f", b"\x4f", b"\xcf"):
            said = [each for each in conversation if each.direction == direction][:14]
            yield first + b"".join(beat + written(each) for each in said if len(each.body) < 2000)


def _files() -> Iterator[bytes]:
    for at in (0, 16, 100, 4096, 8192, 20000):
        yield at.to_bytes(3, "big") + b"\x03\xff\x00\xff\x00"
    yield b"".join(at.to_bytes(3, "big") + b"\x00\x55" for at in range(0, 40_000, 4_001))


_MAKERS: Final[dict[str, Callable[[], Iterator[bytes]]]] = {
    "blip_frames": _blip_frames,
    "blip_properties": _blip_properties,
    "websocket": _websocket,
    "http": _http,
    "documents": _documents,
    "names": _names,
    "deltas": _deltas,
    "rows": _rows,
    "checkpoints": _checkpoints,
    "dns": _dns,
    "certificates": _certificates,
    "handlers": lambda: (each[1:] for each in _dialogue("c2s", b"")),
    "dialogue_passive": lambda: _dialogue("c2s", b"\x00"),
    "dialogue_active": lambda: _dialogue("s2c", b"\x00"),
    "files": _files,
}


def seeds(target: str) -> list[bytes]:
    """Return the inputs that a target begins with, each once, none longer than 4 KiB."""
    return list(dict.fromkeys(each[:_BYTES_MAX] for each in _MAKERS[target]()))
