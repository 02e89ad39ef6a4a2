"""What is fed to whom, and what must hold. Each target takes any bytes and returns.

Whatever a target raises is a find: the parsers under test may raise their one declared error only,
and that is caught here. What takes longer than a second is a find too (the runner's watch), and
so is growth beyond the runner's bound.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

import orjson
from zeroconf import DNSIncoming, ServiceInfo

from settee.blip.codec import Decoder, Encoder
from settee.blip.connection import Connection
from settee.blip.frame import split
from settee.blip.message import decode_message, encode_message, head_is_whole
from settee.doc import body as bodies
from settee.doc.blob import find_blobs, may_have_blobs, with_attachments
from settee.doc.delta import apply_body
from settee.doc.revision import check_history, generation, is_tree_name, version_of
from settee.doc.version import format_vector, join_history, parse_vector
from settee.errors import (
    CertificateError,
    ConfigError,
    InvalidDocumentError,
    InvalidNameError,
    NotAPeerError,
    PeerProtocolError,
    RefusedError,
    UsageError,
)
from settee.identity import parse_pin
from settee.identity.inspect import describe
from settee.identity.sources import certificates_pem
from settee.ids import CollectionName, digest_bytes, digest_text, is_document_id
from settee.limits import MESSAGE_BODY_BYTES_MAX, PEER_ADDRESSES_MAX, WEBSOCKET_MESSAGE_BYTES_MAX
from settee.net.cookies import CookieJar
from settee.net.discovery import SERVICE_TYPE, peer_from
from settee.net.frames import Parser
from settee.net.http1 import (
    RequestReader,
    ResponseReader,
    basic_credentials,
    check_switch,
    check_upgrade,
    decode_body,
    path_segments,
    reason_given,
    redirect_target,
)
from settee.sync.checkpoint import combine, read_body, write_body
from settee.sync.messages import parse_announced, parse_proposed, sequence_text
from tests.fuzz.reading import Reading

__all__ = ["TARGETS", "Target"]

Target = Callable[[bytes], None]


def _frames(reading: Reading) -> list[bytes]:
    """Cut an input into frames: whole ones as they are, or made with a right checksum."""
    encoder = Encoder(1)
    frames: list[bytes] = []
    while reading.more and len(frames) < 64:
        how = reading.byte()
        if how & 1:
            frames.append(reading.piece())
            continue
        number, flags = reading.byte() if how & 2 else reading.number() + 1, reading.byte() & 0x7F
        frames.append(encoder.frame(number, flags, reading.piece()))
    return frames


def blip_frames(data: bytes) -> None:
    """A stream of BLIP frames: messages, or one violation, after which nothing lives."""
    reading = Reading(data)
    connection = Connection()
    for index in range(reading.byte() % 4):
        connection.send_request(index, {"Profile": "changes"}, b"x" * 200, stream_reply=index == 1)
    connection.frames_to_send(65536)
    try:
        for frame in _frames(reading):
            for message in connection.receive([frame]):
                held = getattr(message, "body", b"")
                assert len(held) <= MESSAGE_BODY_BYTES_MAX
        connection.frames_to_send(65536)
    except PeerProtocolError:
        assert connection.frames_to_send(65536) == [], "a dead connection says nothing"
    for piece in (data, data[1:]):
        try:
            number, flags, payload, _ = split(piece)
        except PeerProtocolError:
            continue
        assert number >= 0
        assert flags >= 0
        assert len(payload) <= len(piece)
    with contextlib.suppress(PeerProtocolError):
        Decoder().payload(data, min(2, len(data)), 0x08)


def blip_properties(data: bytes) -> None:
    """The payload of a message: what is read is what would be written."""
    try:
        properties, rest = decode_message(data)
    except PeerProtocolError:
        properties, rest = {}, b""
    try:
        again, body = decode_message(encode_message(properties, rest))
        assert (again, body) == (properties, rest)
    except UsageError:  # Longer than we may write.
        pass
    with contextlib.suppress(PeerProtocolError):
        head_is_whole(data)


def websocket(data: bytes) -> None:
    """WebSocket frames: the same messages whole and in pieces, and never too much held."""
    reading = Reading(data)
    choice = reading.byte()
    stream = reading.rest()
    outcomes = []
    for size in (len(stream) or 1, 1 + choice // 2):
        parser = Parser(bool(choice & 1))
        messages: list[tuple[int, bytes]] = []
        code = 0
        try:
            for at in range(0, len(stream), size):
                messages += parser.feed(stream[at : at + size])
                assert parser.held_bytes <= WEBSOCKET_MESSAGE_BYTES_MAX + 14 + size
        except PeerProtocolError as exc:
            messages += parser.before_error
            code = exc.code
        outcomes.append((messages, code))
    assert outcomes[0] == outcomes[1], "it matters how the bytes came"


def http(data: bytes) -> None:
    """Heads of requests and answers, paths, credentials, redirects, cookies."""
    reading = Reading(data)
    size = reading.byte() or 65536
    stream = reading.rest()
    request, status = RequestReader(), 400
    try:
        for at in range(0, len(stream), size):
            head = request.feed(stream[at : at + size])
            if head is not None:
                segments = path_segments(head.target)
                assert segments is None or not {"", ".", ".."} & set(segments)
                basic_credentials(head.headers.get("authorization"))
                check_upgrade(head)
                break
    except PeerProtocolError as exc:
        status = exc.code
    assert 400 <= status < 600
    answer = ResponseReader()
    try:
        head_ = answer.feed(stream)
        if head_ is not None:
            raw = answer.rest
            body = decode_body(head_.headers, raw, bool(size & 1))
            said = reason_given(head_, body or b"")
            assert "\n" not in said
            lines = head_.headers.get("set-cookie", "").split("\n")
            jar = CookieJar(parent_domains=bool(size & 2))
            where: Any = {
                "secure": True,
                "host": "kitchen.example.com",
                "path": "/db",
                "wall_s": 0.0,
            }
            jar.take(set_cookie=lines, **where)
            jar.header(but=frozenset(), **where)
            check_switch(head_, "AAAAAAAAAAAAAAAAAAAAAA==", ("BLIP_3+CBMobile_3",))
    except NotAPeerError:
        pass
    text = stream[:2000].decode("latin-1")
    basic_credentials("Basic " + text)
    assert path_segments(text) is None or text.startswith("/")
    try:
        target = redirect_target(secure=True, host="kitchen", port=4984, location=text)
        assert target.secure, "never out of TLS"
    except RefusedError:
        pass


def documents(data: bytes) -> None:
    """A document's body: strict JSON or one error; what is read is what another parser reads."""
    try:
        value = bodies.load(data)
    except InvalidDocumentError:
        return
    assert json.loads(data) == value
    stripped = bodies.strip_reserved(data)
    assert not [key for key in bodies.load(stripped) if key[:1] == "_" and key != "_attachments"]
    bodies.dump(value)
    found = find_blobs(value)
    assert not found or may_have_blobs(data)
    for each in found:
        assert digest_bytes(each.digest) is not None
    orjson.dumps(with_attachments(value, 3))


def names(data: bytes) -> None:
    """Revision names, histories, vectors, digests, document IDs and collection names."""
    text = data[:4096].decode("utf-8", "surrogateescape")
    parts = text.split(",")
    for part in (text, *parts[:20]):
        if is_tree_name(part):
            assert generation(part) >= 1
            version_of(part)
    check_history(parts[0], parts[1:])
    check_history(parts[0], parts[1:], contiguous=False)
    try:
        vector = parse_vector(text)
        assert parse_vector(format_vector(vector)) == vector
    except InvalidDocumentError:
        pass
    with contextlib.suppress(InvalidDocumentError):
        join_history(parts[0], ",".join(parts[1:]))
    raw = digest_bytes(text)
    assert raw is None or digest_text(raw) == text
    if is_document_id(text):
        assert 1 <= len(text.encode()) <= 240
    with contextlib.suppress(InvalidNameError):
        CollectionName.parse(text)


def deltas(data: bytes) -> None:
    """A delta on a body: a body, or one error; never more than both together."""
    reading = Reading(data)
    old, delta = reading.piece(), reading.rest()
    try:
        bodies.load(old)
    except InvalidDocumentError:
        old = b'{"a":"%b","b":[1,2,3],"c":{"d":null}}' % (b"text " * 20)
    try:
        new = apply_body(old, delta)
    except InvalidDocumentError:
        return
    bodies.load(new)
    slack = 2 * (len(old) + len(delta)) + 64  # Escapes are written out, spaces go.
    assert len(new) <= slack, "a delta makes no more than there is"


def rows(data: bytes) -> None:
    """The rows of `changes` and `proposeChanges`."""
    for parse in (parse_announced, parse_proposed):
        try:
            for row in parse(data):  # type: ignore[operator]
                assert is_document_id(row.doc_id)
        except PeerProtocolError:
            pass


def checkpoints(data: bytes) -> None:
    """The body of a checkpoint, ours and the peer's: never more done than both say."""
    reading = Reading(data)
    own, peers = reading.piece(), reading.rest()
    completed, since = combine(own, peers)
    ours, theirs = read_body(own), read_body(peers)
    assert completed.first_missing() <= max(ours[0].first_missing(), 1)
    if own != peers:
        assert completed.first_missing() <= max(theirs[0].first_missing(), 1)
    again, since_again = read_body(write_body(completed, since, time_s=0))
    assert since_again == since
    assert again.first_missing() == completed.first_missing() or completed.first_missing() < 2
    with contextlib.suppress(PeerProtocolError, orjson.JSONDecodeError):
        sequence_text(orjson.loads(data))


def dns(data: bytes) -> None:
    """A packet of multicast DNS, and what is made of an announcement in it."""
    DNSIncoming(data).answers()
    reading = Reading(data)
    name = reading.take(20).decode("utf-8", "replace").replace(".", "") or "x"
    addresses = [reading.take(4 if reading.byte() & 1 else 16) for _ in range(reading.byte() % 24)]
    usable = [one for one in addresses if len(one) in (4, 16)]
    full = f"{SERVICE_TYPE}.local."
    try:
        info = ServiceInfo(
            full,
            f"{name}.{full}",
            port=reading.number(),
            addresses=usable,
            properties=reading.rest(),
        )
    except (ValueError, OSError):  # The library refuses to make such a one.
        return
    except Exception as exc:
        if type(exc).__module__.startswith("zeroconf"):
            return
        raise
    peer = peer_from(info, name, loopback=bool(len(data) & 1))
    if peer is None:
        return
    assert len(peer.addresses) <= PEER_ADDRESSES_MAX
    assert peer.name.isprintable()
    for url in peer.urls:
        assert url.isprintable()
        assert " " not in url


def certificates(data: bytes) -> None:
    """A certificate from a peer, a pin from a user, and what stands in `Authorization`."""
    try:
        info = describe(data)
        assert len(info.fingerprint) == 64
    except CertificateError:
        pass
    for given in (data, data.decode("latin-1")):
        with contextlib.suppress(ConfigError):
            assert len(parse_pin(given)) == 32
    with contextlib.suppress(ConfigError):
        certificates_pem(data, field="roots")
    credentials = basic_credentials(data[:4096].decode("latin-1"))
    assert credentials is None or ":" not in credentials[0]


def _later(name: str) -> Target:
    """A target that drives whole sessions; made at its first use, since it opens databases."""
    made: list[Any] = []

    def run(data: bytes) -> None:
        if not made:
            from tests.fuzz import dialogues

            made.append(getattr(dialogues, name)())
        made[0](data)

    run.__doc__ = name
    return run


TARGETS: Final[dict[str, Target]] = {
    "blip_frames": blip_frames,
    "blip_properties": blip_properties,
    "websocket": websocket,
    "http": http,
    "documents": documents,
    "names": names,
    "deltas": deltas,
    "rows": rows,
    "checkpoints": checkpoints,
    "dns": dns,
    "certificates": certificates,
    "handlers": _later("Handlers"),
    "dialogue_passive": _later("PassiveDialogue"),
    "dialogue_active": _later("ActiveDialogue"),
    "files": _later("Files"),
}
"""Name -> target."""
