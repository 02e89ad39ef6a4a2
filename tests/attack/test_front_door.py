"""Before anybody is let in: what a stranger can find out, and what is left of him in our logs."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import Database, HashedUsers, ListenerPasswordAuthenticator, TLSIdentity
from settee import URLEndpointListener as Listener
from settee.identity import users as users_module
from settee.identity import vault
from settee.net.acceptor import Refuse
from tests.attack.raw import ask, said
from tests.net.scene import door, runner

IDENTITY = TLSIdentity.create("kitchen", hosts=["127.0.0.1"])


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def port(tmp_path: Path, asked: list[str]) -> Iterator[int]:
    """A listener that lets nobody in but bob."""

    def check(user: str, password: str) -> bool:
        asked.append(user)
        return (user, password) == ("bob", "canary")

    with Database("kitchen", directory=tmp_path, durability="memory") as db:
        options: dict[str, Any] = {"host": "127.0.0.1", "tls_identity": IDENTITY}
        with Listener(db, authenticator=ListenerPasswordAuthenticator(check), **options) as made:
            yield made.port


PATHS = [
    "/kitchen/_blipsync",
    "/kitchen",
    "/van/_blipsync",
    "/",
    "/../kitchen/_blipsync",
    "/%2e%2e/kitchen/_blipsync",
    "/kitchen%00/_blipsync",
    "/kitchen/_blipsync?x=1",
    "/_all_dbs",
]


@pytest.mark.sec("SEC-06")
def test_who_is_not_logged_in_learns_nothing_from_a_path(port: int, asked: list[str]) -> None:
    """Guards the order in `PassivePeer._decide`: first who it is, then what there is."""
    answers = {path: said(port, ask(path)) for path in PATHS}
    assert len(set(answers.values())) == 1
    assert answers["/"].startswith(b"HTTP/1.1 401 ")
    assert b"kitchen" not in answers["/"]
    assert asked == []


@pytest.mark.sec("SEC-06")
def test_who_is_logged_in_is_told_that_there_is_no_such_database(port: int) -> None:
    answer = said(port, ask("/van/_blipsync", Authorization=basic("bob", "canary")))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"kitchen" not in answer, "nor which others there are"


JUNK_CREDENTIALS = [
    "",
    "Basic",
    "Basic !!!",
    "Basic Ym9i",
    "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
    "Basic " + base64.b64encode(b"x" * 5000 + b":y").decode(),
    "Bearer canary",
    basic("bob", "wrong"),
    basic("nobody", "canary"),
]


@pytest.mark.sec("SEC-08")
def test_every_refusal_of_credentials_reads_the_same(port: int) -> None:
    """Guards `_unauthorized`: what the client is told is not what the owner is told."""
    answers = {said(port, ask(Authorization=each)) for each in JUNK_CREDENTIALS}
    assert len(answers) == 1
    assert answers.pop().startswith(b"HTTP/1.1 401 ")


@pytest.mark.slow
@pytest.mark.sec("SEC-08")
@pytest.mark.parametrize("size", [8000, 16_000, 1_000_000])
def test_credentials_beyond_a_header_line_are_a_bad_head(port: int, size: int) -> None:
    """Slow: whoever sent too much is left to hang up by itself."""
    value = "Basic " + "A" * size
    status = said(port, ask(Authorization=value)).split(b" ")[1]
    assert status == (b"401" if size == 8000 else b"431")


@pytest.mark.sec("SEC-10")
def test_a_page_with_its_visitors_password_stays_outside(port: int, asked: list[str]) -> None:
    answer = said(port, ask(Origin="https://evil.example", Authorization=basic("bob", "canary")))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert asked == []


@pytest.mark.sec("SEC-11")
def test_compression_of_the_websocket_is_never_agreed_to(port: int) -> None:
    answer = said(
        port,
        ask(
            Authorization=basic("bob", "canary"),
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
        ),
    )
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"extensions" not in answer.lower()


@pytest.mark.sec("SEC-07")
@pytest.mark.parametrize("user", ["bob", "nobody"])
def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    """Guards `hmac.compare_digest` in `HashedUsers.check`."""
    compared: list[int] = []

    class Seen:
        @staticmethod
        def compare_digest(a: bytes, b: bytes) -> bool:
            compared.append(len(a))
            return hmac.compare_digest(a, b)

    monkeypatch.setattr(users_module, "hmac", Seen)
    monkeypatch.setattr(users_module, "_COST", users_module._Cost(4, 8, 1))
    table = HashedUsers()
    table.add("bob", "canary")
    for password in ("canary", "wrong"):
        assert table.check(user, password) is (user == "bob" and password == "canary")
    assert compared == [32, 32]


@pytest.mark.sec("SEC-36")
def test_a_key_is_never_open_to_others_not_even_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the mode that `vault._write_fresh` makes a file with."""
    modes: list[int] = []
    os_open = os.open

    def seen(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        fd = os_open(path, flags, mode, **more)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return fd

    monkeypatch.setattr(vault.os, "open", seen)
    before = os.umask(0)
    try:
        TLSIdentity.self_signed("van", directory=tmp_path / "keys")
    finally:
        os.umask(before)
    assert modes
    assert set(modes) == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


@pytest.mark.sec("SEC-38")
@pytest.mark.parametrize("evil", ["a\nERROR forged", "\x1b[31mred", "\u202eabc", "x" * 10_000])
def test_a_refusal_is_one_printable_line(evil: str, caplog: pytest.LogCaptureFixture) -> None:
    """Guards `printable` in `Acceptor._refused`."""

    async def play() -> None:
        async with door(answer=Refuse(status=404, reason="no", note=evil)) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(ask())
            await reader.read()
            writer.close()
            (refusal,) = listener.refusals
            assert refusal.reason.isprintable()
            assert len(refusal.reason) <= 501

    with caplog.at_level(logging.INFO, logger="settee.net"):
        runner("asyncio")(play())
    assert all(record.getMessage().isprintable() for record in caplog.records)
