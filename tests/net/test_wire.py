"""One connection: shared buffer, endings that arrive, memory given back."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import Any

import pytest

from settee.net.tls import server_context
from settee.net.wire import ReadBuffer, Wire, certificate_pin
from tests.net.scene import KITCHEN, Run, odd_server, runner, server_tls


class User:
    def __init__(self) -> None:
        self.log: list[Any] = []

    def connected(self) -> None:
        self.log.append("connected")

    def received(self, data: bytes) -> None:
        self.log.append(data)

    def drained(self) -> None:
        self.log.append("drained")

    def ended(self, error: Exception | None) -> None:
        self.log.append("ended")


async def wire_to(port: int, context: ssl.SSLContext | None = None) -> tuple[Wire, User]:
    user = User()
    wire = Wire(ReadBuffer(), user)
    await asyncio.get_running_loop().create_connection(
        lambda: wire,
        "127.0.0.1",
        port,
        ssl=context,
        server_hostname="x" if context else None,
    )
    return wire, user


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.mark.parametrize("tls", [False, True])
def test_tells_its_user_in_order_and_the_end_once(run: Run, tls: bool) -> None:
    async def play() -> None:
        server = server_context(server_tls()) if tls else None
        async with odd_server(echo, ssl=server) as odd:
            wire, user = await wire_to(odd.port, trusting() if tls else None)
            assert user.log == ["connected"]
            assert wire.tls_version == ("TLSv1.3" if tls else None)
            assert wire.certificate_der == (KITCHEN.der if tls else None)
            wire.write(b"hello")
            while len(user.log) < 2:  # noqa: ASYNC110 - the wire has no event for it
                await asyncio.sleep(0)
            wire.close()
            await wire.wait_ended()
            await wire.wait_ended()
            wire.write(b"into the void")
            wire.close()
            wire.abort()
            wire.pause_reading()
            wire.resume_reading()
            assert user.log == ["connected", b"hello", "ended"]

    run(play())


def test_connections_share_a_buffer_but_not_bytes(run: Run) -> None:
    async def play() -> None:
        async with odd_server(echo) as odd:
            loop = asyncio.get_running_loop()
            reads = ReadBuffer()
            pairs = []
            for _ in range(2):
                user = User()
                wire = Wire(reads, user)
                await loop.create_connection(lambda wire=wire: wire, "127.0.0.1", odd.port)
                pairs.append((wire, user))
            assert pairs[0][0].get_buffer(-1) is pairs[1][0].get_buffer(-1)
            for number, (wire, _) in enumerate(pairs):
                wire.write(b"%d" % number * 50_000)
            for number, (wire, user) in enumerate(pairs):
                while sum(map(len, user.log[1:])) < 50_000:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                assert b"".join(user.log[1:]) == b"%d" % number * 50_000
                wire.abort()
                await wire.wait_ended()

    run(play())


@pytest.mark.parametrize("tls", [False, True])
def test_a_peer_that_does_not_end_is_ended_by_force(run: Run, tls: bool) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()

    stop = asyncio.Event()

    async def play() -> None:
        server = server_context(server_tls()) if tls else None
        async with odd_server(wait, ssl=server) as odd:
            wire, user = await wire_to(odd.port, trusting() if tls else None)
            wire.close_after_peer(0.05)
            await wire.wait_ended()
            assert user.log == ["connected", "ended"]
            stop.set()

    run(play())


def test_asyncios_tls_buffer_is_given_back() -> None:
    async def play() -> None:
        async with odd_server(echo, ssl=server_context(server_tls())) as odd:
            wire, user = await wire_to(odd.port, trusting())
            protocol = wire._transport._ssl_protocol  # type: ignore[union-attr]
            assert len(protocol._ssl_buffer) == 64 * 1024
            wire.write(b"x" * 300_000)
            while sum(map(len, user.log[1:])) < 300_000:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert len(protocol._ssl_buffer) == 64 * 1024
            wire.abort()
            await wire.wait_ended()

    runner("asyncio")(play())


def test_a_pin_is_the_sha_256_of_the_certificate() -> None:
    assert certificate_pin(b"der") == hashlib.sha256(b"der").digest()
