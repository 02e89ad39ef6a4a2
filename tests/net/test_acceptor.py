"""The front door: who comes in, who does not, what each is told, and the limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosedError

from settee.errors import ConfigError, RefusedError
from settee.net.acceptor import Accept, AcceptLimits, Acceptor, Refuse, UpgradeRequest
from settee.net.dialer import dial
from settee.net.link import Link, PeerInfo
from tests.net.scene import (
    BLIP,
    KITCHEN,
    PINNED,
    Ears,
    Run,
    dialled,
    door,
    issue,
    plan,
    server_tls,
)
from tests.net.test_http1 import ENGINE, UPGRADE, head

ASK = head(*UPGRADE, f"Sec-WebSocket-Protocol: {BLIP}")


async def raw(port: int, wire: bytes, *, eof: bool = False) -> bytes:
    """Send bytes; return all that comes until the other side ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(wire)
        if eof:
            writer.write_eof()
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def body_of(answer: bytes) -> Any:
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


# --- who comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_an_independent_client_comes_in_and_talks(run: Run, tls: bool) -> None:
    async def play() -> None:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=KITCHEN.pem.decode())
        async with door(server_tls() if tls else None, host="localhost") as listener:
            scheme = "wss" if tls else "ws"
            async with websockets_connect(
                f"{scheme}://localhost:{listener.port}/db/_blipsync",
                subprotocols=[BLIP],  # type: ignore[list-item]
                compression="deflate",
                ssl=context,
                proxy=None,
            ) as client:
                assert client.subprotocol == BLIP
                assert client.response is not None
                assert "Sec-WebSocket-Extensions" not in client.response.headers
                passive = await listener.link_of()
                await client.send(b"up" * 40_000)
                await passive.until(lambda ears: ears.frames == [b"up" * 40_000])
                passive.link.send([b"down"])
                assert await client.recv() == b"down"
                pong = await client.ping(b"alive")
                await pong
                passive.link.close(4001, "later")
                with pytest.raises(ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 4001
            assert (await passive.closed()).clean

    run(play())


def test_what_the_client_asks_for_is_shown_to_whoever_decides(run: Run) -> None:
    async def play() -> None:
        async with door(server_tls()) as listener:
            dialling = plan(
                listener.port,
                trust=PINNED,
                path="/d%62/_blipsync?client=sgr2",
                headers=(("Authorization", "Basic am9lOnMzY3JldA=="), ("X-App", "scanner")),
                user_agent="scanner/2",
            )
            async with dialled(dialling) as active:
                request, peer = listener.requests[0]
                assert request.path == "/d%62/_blipsync?client=sgr2"
                assert request.segments == ("db", "_blipsync")
                assert request.credentials == ("joe", "s3cret")
                assert request.headers["x-app"] == "scanner"
                assert request.user_agent == "scanner/2"
                assert request.subprotocols == (BLIP, "BLIP_3+CBMobile_2")
                assert request.origin is None
                assert (peer.address, peer.tls_version) == ("127.0.0.1", "TLSv1.3")
                assert "s3cret" not in repr(request) + repr(peer)
                assert "am9lOnMzY3JldA" not in repr(request) + repr(peer) + repr(dialling)
                passive = await listener.link_of()
                assert passive.link.peer.subprotocol == BLIP
                assert active.link.peer.certificate_der == KITCHEN.der
                assert listener.acceptor.open_count == 1
            await passive.closed()
            assert listener.acceptor.open_count == 0

    run(play())


def test_answers_the_engines_own_request_as_the_engine_wants_it(run: Run) -> None:
    async def play() -> None:
        async with door() as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(ENGINE)
            answer = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            assert answer[0].split(b" ")[1] == b"101"
            assert b"Connection: Upgrade" in answer
            assert b"Upgrade: websocket" in answer
            assert b"Sec-WebSocket-Protocol: BLIP_3+CBMobile_3" in answer
            writer.close()
            await writer.wait_closed()

    run(play())


# --- who does not --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuse", "stage"),
    [
        (Refuse(status=401, reason="Login required"), "auth"),
        (Refuse(status=403, reason="not you"), "auth"),
        (Refuse(status=404, reason="no such database"), "path"),
        (Refuse(status=503, reason="busy"), "cap"),
        (Refuse(status=400, reason="I speak something else"), "subprotocol"),
        (Refuse(status=403, reason="wrong protocol", stage="subprotocol"), "subprotocol"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_refusal_reaches_the_client_and_the_owner(
    run: Run, refuse: Refuse, stage: str, tls: bool
) -> None:
    async def play() -> None:
        async with door(server_tls() if tls else None, answer=refuse) as listener:
            with pytest.raises(Exception, match=refuse.reason):
                await dial(plan(listener.port, trust=PINNED if tls else None))
            (refusal,) = listener.refusals
            assert (refusal.address, refusal.stage) == ("127.0.0.1", stage)
            assert refusal.reason == refuse.reason

    run(play())


def test_the_owner_may_be_told_more_than_the_client(run: Run) -> None:
    async def play() -> None:
        refuse = Refuse(
            status=401,
            reason="Login required",
            note="user bob\nhas the wrong password",
            json=False,
            headers=(("Retry-After", "5"),),
        )
        async with door(answer=refuse) as listener:
            answer = await raw(listener.port, ASK)
            assert status_of(answer) == 401
            assert answer.endswith(b"\r\n\r\nLogin required")
            assert b"Retry-After: 5\r\n" in answer
            assert b"WWW-Authenticate: Basic " in answer
            assert listener.refusals[0].reason == "user bob\\x0ahas the wrong password"

    run(play())


@pytest.mark.sec("SEC-10")
def test_a_browser_page_is_refused_before_anybody_is_asked(run: Run) -> None:
    async def play() -> None:
        page = head(*UPGRADE, f"Sec-WebSocket-Protocol: {BLIP}", "Origin: http://evil.example")
        async with door(origins=frozenset({"app://ours"})) as listener:
            answer = await raw(listener.port, page)
            assert status_of(answer) == 403
            assert listener.requests == []
            assert listener.refusals[0].stage == "origin"
            allowed = plan(listener.port, headers=(("Origin", "app://ours"),))
            async with dialled(allowed):
                assert listener.requests[0][0].origin == "app://ours"

    run(play())


@pytest.mark.parametrize(
    ("name", "wire", "status"),
    [
        ("garbage", b"\x00\x01\x02\x03", 400),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", 400),
        ("no upgrade", head(), 426),
        ("POST", head(*UPGRADE, first="POST / HTTP/1.1"), 405),
        ("two hosts", head("Host: b"), 400),
        ("a long head", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
        ("a frame too early", ASK + b"\x82\x80\x00\x00\x00\x00", 400),
    ],
)
def test_a_bad_request_is_answered_at_once_and_shown(
    run: Run, name: str, wire: bytes, status: int
) -> None:
    async def play() -> None:
        async with door() as listener:
            answer = await raw(listener.port, wire)
            assert status_of(answer) == status
            assert body_of(answer)["reason"]
            assert [refusal.stage for refusal in listener.refusals] == ["http"]
            assert listener.requests == []

    run(play())


def test_bytes_while_it_is_being_decided_refuse_the_client(run: Run) -> None:
    async def play() -> None:
        cancelled = asyncio.Event()
        asked = asyncio.Event()

        async def slow(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        async with door(answer=slow) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(ASK)
            await asked.wait()
            writer.write(b"\x82\x80\x00\x00\x00\x00")
            assert status_of(await reader.read()) == 400
            assert cancelled.is_set()
            writer.close()
            await writer.wait_closed()

    run(play())


def test_nobody_decides_about_a_client_that_has_gone(run: Run) -> None:
    async def play() -> None:
        cancelled = asyncio.Event()
        asked = asyncio.Event()

        async def slow(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

        async with door(answer=slow) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(ASK)
            await asked.wait()
            writer.close()
            await writer.wait_closed()
            await cancelled.wait()
            assert listener.ears == []

    run(play())


def test_a_bug_of_the_decider_is_a_500_without_details() -> None:
    async def play() -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: reported.append(c))

        async def broken(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            raise ValueError("secret detail")

        async with door(answer=broken) as listener:
            answer = await raw(listener.port, ASK)
            assert status_of(answer) == 500
            assert b"secret" not in answer
            assert "secret" not in listener.refusals[0].reason
        assert [type(context["exception"]) for context in reported] == [ValueError]

    asyncio.run(play())


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-01")
@pytest.mark.parametrize(
    ("tls", "begin"),
    [(False, b""), (False, b"GET / HTTP/1.1\r\n"), (True, b""), (True, b"\x16\x03\x01")],
)
def test_a_silent_client_is_dropped_at_the_deadline(run: Run, tls: bool, begin: bytes) -> None:
    async def play() -> None:
        # Far apart: on a busy machine two deadlines that are close pass in the same turn.
        limits = AcceptLimits(tls_s=0.1, total_s=9 if tls else 0.15)
        async with door(server_tls() if tls else None, limits=limits) as listener:
            assert await raw(listener.port, begin) == b""
            (refusal,) = listener.refusals
            assert refusal.stage == ("tls" if tls else "http")
            assert "time" in refusal.reason or "0.15 s" in refusal.reason

    run(play())


@pytest.mark.sec("SEC-01")
def test_bytes_do_not_move_the_deadline(run: Run) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with door(limits=AcceptLimits(total_s=0.2)) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            began = loop.time()

            def drip(at: int = 0) -> None:
                if not writer.is_closing():
                    writer.write(ASK[at : at + 1])
                    loop.call_later(0.01, drip, at + 1)

            drip()
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            # Long before the request would be whole.
            assert 0.15 < loop.time() - began < 0.75 * 0.01 * len(ASK)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    run(play())


# --- limits --------------------------------------------------------------------------------------


async def crowd(port: int, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]


async def disperse(people: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    for _, writer in people:
        writer.close()
    for _, writer in people:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


@pytest.mark.regression("listener used up by the dead")
@pytest.mark.sec("SEC-02")
@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (AcceptLimits(unauthenticated_max=3), "not open yet"),
        (AcceptLimits(per_address_max=3), "from this address"),
    ],
)
@pytest.mark.parametrize("over", [1, 100])
def test_who_comes_over_the_limit_is_dropped_unheard_and_places_come_free_again(
    run: Run, limits: AcceptLimits, says: str, over: int
) -> None:
    async def play() -> None:
        async with door(limits=limits) as listener:
            people = await crowd(listener.port, 3)
            await until(lambda: len(listener.acceptor._greeting) == 3)
            assert listener.refusals == []
            extra = await crowd(listener.port, over)
            for reader, _ in extra:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            assert len(listener.refusals) == over
            assert {refusal.stage for refusal in listener.refusals} == {"cap"}
            assert says in listener.refusals[0].reason
            await disperse(people + extra)
            await until(lambda: not listener.acceptor._greeting)
            async with dialled(plan(listener.port)):
                pass
            await until(lambda: not listener.acceptor._per_address)

    run(play())


@pytest.mark.sec("SEC-02")
def test_over_the_number_of_open_links_the_answer_is_503(run: Run) -> None:
    async def play() -> None:
        async with door(limits=AcceptLimits(connections_max=2)) as listener:
            async with dialled(plan(listener.port)), dialled(plan(listener.port)):
                with pytest.raises(RefusedError) as caught:
                    await dial(plan(listener.port))
                assert caught.value.code == 503
                assert caught.value.transient
                assert listener.refusals[0].stage == "cap"
            await until(lambda: listener.acceptor.open_count == 0)
            async with dialled(plan(listener.port)):
                pass

    run(play())


def test_stopping_drops_who_is_not_in_and_keeps_the_open_links(run: Run) -> None:
    async def play() -> None:
        async with door() as listener, dialled(plan(listener.port)) as active:
            passive = await listener.link_of()
            people = await crowd(listener.port, 2)
            await until(lambda: len(listener.acceptor._greeting) == 2)
            port = listener.port
            await listener.acceptor.stop()
            await listener.acceptor.stop()
            assert listener.port == 0
            for reader, _ in people:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", port)
            active.link.send([b"still here"])
            await passive.until(lambda ears: ears.frames == [b"still here"])
            await disperse(people)

    run(play())


# --- TLS -----------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-04")
def test_plain_http_on_the_tls_port_is_told_so(run: Run) -> None:
    async def play() -> None:
        async with door(server_tls()) as listener:
            answer = await raw(listener.port, ASK)
            assert status_of(answer) == 426
            assert "wss://" in body_of(answer)["reason"]
            assert listener.refusals[0].stage == "tls"
            assert "plain HTTP" in listener.refusals[0].reason

    run(play())


@pytest.mark.sec("SEC-04")
def test_garbage_on_the_tls_port_ends_at_once(run: Run) -> None:
    async def play() -> None:
        began = asyncio.get_running_loop().time()
        async with door(server_tls()) as listener:
            await raw(listener.port, b"\x00" * 100, eof=True)
            assert [refusal.stage for refusal in listener.refusals] == ["tls"]
        assert asyncio.get_running_loop().time() - began < 1

    run(play())


@pytest.mark.sec("SEC-09")
def test_only_the_pinned_client_comes_in_not_one_that_it_signed(run: Run) -> None:
    async def play() -> None:
        boss = issue("boss", ca=True)
        child = issue("child", by=boss)
        tls = server_tls(client_anchors_pem=boss.pem, client_pins=(boss.pin,))
        async with door(tls) as listener:
            async with dialled(plan(listener.port, trust=PINNED, client_identity=boss.pair)):
                assert listener.requests[0][1].certificate_der == boss.der
            with pytest.raises(RefusedError, match="not one of those let in") as caught:
                await dial(plan(listener.port, trust=PINNED, client_identity=child.pair))
            assert caught.value.code == 403
            assert listener.refusals[-1].stage == "tls"
            assert len(listener.requests) == 1

    run(play())


def test_a_certificate_may_be_optional(run: Run) -> None:
    async def play() -> None:
        boss = issue("boss", ca=True)
        child = issue("child", by=boss)
        tls = server_tls(client_anchors_pem=boss.pem, client_certificate_required=False)
        async with door(tls) as listener:
            async with dialled(plan(listener.port, trust=PINNED)):
                assert listener.requests[0][1].certificate_der is None
            async with dialled(plan(listener.port, trust=PINNED, client_identity=child.pair)):
                assert listener.requests[1][1].certificate_der == child.der

    run(play())


# --- where it listens ----------------------------------------------------------------------------


def test_all_addresses_share_one_port(run: Run) -> None:
    async def play() -> None:
        async with door(host=None) as listener:
            assert {port for _, port in listener.acceptor.addresses} == {listener.port}
            for host in {"0.0.0.0": "127.0.0.1", "::": "::1"}.items():
                if host[0] in dict(listener.acceptor.addresses):
                    async with dialled(plan(listener.port, host=host[1])):
                        pass

    run(play())


def test_a_taken_port_is_a_mistake_of_the_caller(run: Run) -> None:
    async def play() -> None:
        async with door() as listener:
            second = Acceptor(
                host="127.0.0.1",
                port=listener.port,
                tls=None,
                decide=lambda request, peer: asyncio.sleep(0, Refuse(status=403, reason="no")),
                on_refusal=lambda refusal: None,
            )
            with pytest.raises(ConfigError, match="in use") as caught:
                await second.start()
            assert caught.value.field == "port"

    run(play())


def test_a_user_of_a_link_may_be_given_as_it_is(run: Run) -> None:
    async def play() -> None:
        user = Ears()

        async def decide(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            return Accept(subprotocol=BLIP, events=user)

        async with door(answer=decide) as listener, dialled(plan(listener.port)) as active:
            active.link.send([b"hello"])
            await user.until(lambda ears: ears.frames == [b"hello"])
            active.link.close()
            await user.closed()

    run(play())


def test_a_class_of_users_makes_one(run: Run) -> None:
    async def play() -> None:
        made: list[Ears] = []

        class Counted(Ears):
            def __init__(self, link: Link) -> None:
                super().__init__(link)
                made.append(self)

        async def decide(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            return Accept(subprotocol=BLIP, events=Counted)

        async with door(answer=decide) as listener:
            async with dialled(plan(listener.port)):
                await until(lambda: len(made) == 1)
            await made[0].closed()

    run(play())


def test_a_user_that_can_not_be_made_ends_its_link() -> None:
    async def play() -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: reported.append(c))

        def make(link: Link) -> Ears:
            raise ValueError("a bug")

        async def decide(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            return Accept(subprotocol=BLIP, events=make)

        async with door(answer=decide) as listener:
            async with dialled(plan(listener.port)) as active:
                assert (await active.closed()).code == 1006
            await until(lambda: listener.acceptor.open_count == 0)
            assert not listener.acceptor._per_address
        assert [type(context["exception"]) for context in reported] == [ValueError]

    asyncio.run(play())
