"""What the machine and the native libraries can do, without any of settee's protocol.

Each figure is of the same documents that settee moves: SQLite alone with the same rows, zlib, JSON,
TLS over loopback, blobs made durable by the blob store alone. Another machine is compared by these:
by one document's way through all of them, one after the other (`in_a_row`), and by all of them
joined in the barest pair of processes that still moves documents from one durable database into
another, with the libraries that settee uses, zlib-ng too where it is installed. The pairs need
`os.fork`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import ssl
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import orjson

from benchmarks.local import BareApsw
from benchmarks.peers import documents
from settee import TLSIdentity
from settee.blip.codec import crc32, deflater
from settee.clock import SystemClock, ThreadWorkers
from settee.limits import (
    BLOB_CHUNK_BYTES,
    COMPRESSION_LEVEL,
    SAVE_BATCH_REVISIONS_MAX,
    WRITE_BYTES_MAX,
)
from settee.store.blobs import BlobStore

__all__ = [
    "Limit",
    "bare_pair",
    "blob_store",
    "deflate",
    "in_a_row",
    "inflate",
    "parse",
    "sqlite_alone",
    "tls_loopback",
]

_HEAD: Final = struct.Struct(">II")
"""Of a document in the bare pair: bytes of its deflated text, and their checksum."""

BLOBS_AT_ONCE: Final = 20


class Limit(NamedTuple):
    """What something does in a second, and the CPU that this takes."""

    per_s: float
    cpu_each_s: float
    """Of one of what is counted."""


def _measured(work: Callable[[], object], count: float) -> Limit:
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work()
    cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
    return Limit(count / wall_s, cpu_s / count)


def sqlite_alone(kind: str, count: int, body_bytes: int) -> Limit:
    """Rows a second into one table with settee's pragmas, 1,000 to a commit, each commit synced."""
    rows = list(documents(kind, range(count), body_bytes))
    with tempfile.TemporaryDirectory() as directory:
        bare = BareApsw(Path(directory))
        with contextlib.closing(bare):
            return _measured(lambda: bare.save_many(rows), count)


def _texts(kind: str, count: int, body_bytes: int) -> list[bytes]:
    return [orjson.dumps(body) for _, body in documents(kind, range(count), body_bytes)]


def deflate(kind: str, count: int, body_bytes: int) -> Limit:
    """Documents a second through one stream of zlib, flushed behind each, as the protocol has it.

    The standard library's zlib, whatever settee deflates with.
    """
    texts = _texts(kind, count, body_bytes)

    def work() -> None:
        stream = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -15)
        for text in texts:
            zlib.crc32(stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH))

    return _measured(work, count)


def inflate(kind: str, count: int, body_bytes: int) -> Limit:
    """The same way back, with the checksum."""
    stream = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -15)
    pieces = [
        stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)
        for text in _texts(kind, count, body_bytes)
    ]

    def work() -> None:
        inflater = zlib.decompressobj(-15)
        for piece in pieces:
            zlib.crc32(piece)
            inflater.decompress(piece)

    return _measured(work, count)


def parse(kind: str, count: int, body_bytes: int) -> Limit:
    """Documents a second out of their JSON text."""
    texts = _texts(kind, count, body_bytes)

    def work() -> None:
        for text in texts:
            orjson.loads(text)

    return _measured(work, count)


def in_a_row(limits: Sequence[Limit], body_bytes: int) -> Limit:
    """Documents a second if each goes through all of these, one after the other.

    The last of them is that of TLS, which counts bytes: of a document so many as its body has
    before it is deflated.
    """
    *parts, tls = limits
    wall_s = sum(1 / part.per_s for part in parts) + body_bytes / tls.per_s
    return Limit(1 / wall_s, sum(part.cpu_each_s for part in parts) + body_bytes * tls.cpu_each_s)


# --- TLS over loopback ----------------------------------------------------------------------------


@contextlib.contextmanager
def _tls_pair(serve: Callable[[ssl.SSLSocket], None]) -> Iterator[ssl.SSLSocket]:
    """Give a TLS connection whose other end another process serves."""
    identity = TLSIdentity.anonymous()
    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory) / "identity.pem"
        pem.touch(0o600)
        pem.write_bytes(identity.private_key_pem + identity.chain_pem)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            child = os.fork()
            if child == 0:
                try:
                    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    server.load_cert_chain(pem)
                    accepted, _ = listening.accept()
                    with server.wrap_socket(accepted, server_side=True) as end:
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        serve(end)
                finally:
                    os._exit(0)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client.wrap_socket(plain) as end:
                yield end
        os.waitpid(child, 0)


def _read(end: ssl.SSLSocket, count: int) -> bytes:
    parts = []
    while count:
        part = end.recv(min(count, WRITE_BYTES_MAX))
        if not part:
            raise EOFError("the other end is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def tls_loopback(total_bytes: int) -> Limit:
    """Bytes a second through one TLS connection, in writes of 64 KiB; two processes."""
    block = os.urandom(WRITE_BYTES_MAX)
    count = max(1, total_bytes // len(block))

    def serve(end: ssl.SSLSocket) -> None:
        buffer = bytearray(WRITE_BYTES_MAX)
        left = count * len(block)
        while left:
            left -= end.recv_into(buffer)
        end.sendall(b"!")

    with _tls_pair(serve) as end:

        def work() -> None:
            for _ in range(count):
                end.sendall(block)
            _read(end, 1)

        return _measured(work, count * len(block))


# --- all of it together ---------------------------------------------------------------------------


def bare_pair(kind: str, count: int, body_bytes: int) -> Limit:
    """Documents a second from one SQLite file over TLS into another, with nothing around it.

    The sender reads rows, deflates each document by itself with its checksum, and gathers writes of
    64 KiB. The receiver inflates, checks, parses each body, and hands rows by the thousand to a
    thread that commits them with `synchronous=FULL`; the sender is told when the last is on the
    disk. No revisions, no history, no negotiation, no answer per document. CPU is that of both.
    """
    before = os.times()
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "source"), Path(directory, "target")
        source.mkdir()
        target.mkdir()
        with contextlib.closing(BareApsw(source)) as bare:
            bare.save_many(documents(kind, range(count), body_bytes))
        with _tls_pair(lambda end: _take(end, target, count)) as end:
            sender = _measured(lambda: _give(end, source / "bare.sqlite3"), count)
    after = os.times()
    receiver_s = after.children_user + after.children_system
    receiver_s -= before.children_user + before.children_system
    return Limit(sender.per_s, sender.cpu_each_s + receiver_s / count)


def _give(end: ssl.SSLSocket, path: Path) -> None:
    connection = apsw.Connection(str(path))
    stream = deflater(COMPRESSION_LEVEL)
    gathered: list[bytes] = []
    size = 0
    for doc_id, body in connection.execute("SELECT id, body FROM documents"):
        text = f"{doc_id}\0{body}".encode()
        piece = stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)
        gathered += (_HEAD.pack(len(piece), crc32(piece, 0)), piece)
        size += _HEAD.size + len(piece)
        if size >= WRITE_BYTES_MAX:
            end.sendall(b"".join(gathered))
            gathered, size = [], 0
    end.sendall(b"".join(gathered))
    _read(end, 1)
    connection.close()


def _take(end: ssl.SSLSocket, directory: Path, count: int) -> None:
    batches: queue.Queue[list[tuple[str, str]] | None] = queue.Queue(4)
    writer = threading.Thread(target=_write, args=(directory, batches))
    writer.start()
    inflater = zlib.decompressobj(-15)
    batch: list[tuple[str, str]] = []
    held, at = b"", 0
    while count:
        while len(held) - at >= _HEAD.size:
            size, checksum = _HEAD.unpack_from(held, at)
            start = at + _HEAD.size
            if len(held) - start < size:
                break
            piece = held[start : start + size]
            at = start + size
            assert crc32(piece, 0) == checksum
            doc_id, _, body = inflater.decompress(piece).partition(b"\0")
            orjson.loads(body)
            batch.append((doc_id.decode(), body.decode()))
            count -= 1
            if len(batch) == SAVE_BATCH_REVISIONS_MAX or not count:
                batches.put(batch)
                batch = []
        if count:
            held, at = held[at:] + end.recv(WRITE_BYTES_MAX), 0
    batches.put(None)
    writer.join()
    end.sendall(b"!")


def _write(directory: Path, batches: queue.Queue[list[tuple[str, str]] | None]) -> None:
    with contextlib.closing(BareApsw(directory)) as bare:
        while (batch := batches.get()) is not None:
            bare.save_texts(batch)


# --- blobs ----------------------------------------------------------------------------------------


def blob_store(count: int, blob_bytes: int, place: Path) -> Limit:
    """Blobs a second that the blob store alone makes durable, 20 at a time, digests included.

    They are left in a folder of their own at `place`.
    """
    blobs = [os.urandom(blob_bytes) for _ in range(min(count, BLOBS_AT_ONCE))]
    workers = ThreadWorkers()
    folder = Path(tempfile.mkdtemp(dir=place))
    with contextlib.closing(
        BlobStore(folder, clock=SystemClock(), workers=workers, durable=True, read_only=False)
    ) as store:

        def work() -> None:
            for start in range(0, count, BLOBS_AT_ONCE):
                staged = []
                for n in range(start, min(start + BLOBS_AT_ONCE, count)):
                    writer = store.writer()
                    writer.write(n.to_bytes(8, "big"))  # So that no two are equal.
                    data = memoryview(blobs[n - start])
                    for at in range(0, blob_bytes, BLOB_CHUNK_BYTES):
                        writer.write(data[at : at + BLOB_CHUNK_BYTES])
                    staged.append(writer.finish())
                store.put_many(staged)

        return _measured(work, count)


def main() -> None:
    """Print each limit once."""
    with tempfile.TemporaryDirectory() as directory:
        blobs = blob_store(1000, 100_000, Path(directory))
    found = {
        "SQLite alone, rows/s": sqlite_alone("small", 100_000, 200).per_s,
        "deflate, documents/s": deflate("small", 100_000, 200).per_s,
        "inflate, documents/s": inflate("small", 100_000, 200).per_s,
        "parse, documents/s": parse("small", 100_000, 200).per_s,
        "TLS loopback, MB/s": tls_loopback(10**9).per_s / 1e6,
        "the bare pair, documents/s": bare_pair("small", 100_000, 200).per_s,
        "blob store, 100 KB blobs/s": blobs.per_s,
    }
    print(json.dumps({name: round(value) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
