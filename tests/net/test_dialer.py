"""Dialling: the right link, or the error that says what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websockets_serve

from settee.errors import (
    AuthenticationError,
    CertificateError,
    ConfigError,
    ConnectionFailedError,
    NotAPeerError,
    RefusedError,
    SyncError,
)
from settee.net.acceptor import Accept, AcceptLimits, Refuse, UpgradeRequest
from settee.net.dialer import DialPlan, dial, fetch_certificate
from settee.net.http1 import accept_value
from settee.net.link import PeerInfo
from settee.net.tls import ServerTLS, Trust, server_context
from tests.net.scene import (
    BLIP,
    KITCHEN,
    PINNED,
    STRANGER,
    Ears,
    Issued,
    Run,
    dialled,
    door,
    free_port,
    issue,
    odd_server,
    plan,
    server_tls,
)

SECRET = (("Authorization", "Basic c2VjcmV0OnNlY3JldA=="), ("X-App", "1"))


async def failure(dial_plan: DialPlan) -> SyncError:
    """Dial in vain; return why."""
    with pytest.raises(SyncError) as caught:
        await dial(dial_plan)
    return caught.value


# --- links ---------------------------------------------------------------------------------------


def test_an_independent_server_is_dialled_and_talks(run: Run) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def play() -> None:
        context = server_context(server_tls())
        async with websockets_serve(
            echo,
            "127.0.0.1",
            0,
            subprotocols=[BLIP],  # type: ignore[list-item]
            ssl=context,
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with dialled(plan(port, trust=PINNED)) as active:
                assert active.link.peer.subprotocol == BLIP
                assert active.link.peer.certificate_der == KITCHEN.der
                sent = [b"", b"a" * 70_000, *(b"%d" % n for n in range(200))]
                active.link.send(sent)
                await active.until(lambda ears: len(ears.frames) == len(sent))
                assert active.frames == sent
                active.link.close(1000)
                assert (await active.closed()).clean

    run(play())


async def answer_old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as the engine before 3.1 does, a frame right behind, then wait for the end."""
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(line for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    accept = accept_value(key.split(b": ")[1].decode())
    writer.write(
        b"HTTP/1.0 101 Upgraded\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n"
        b"Sec-WebSocket-Protocol: " + BLIP.encode() + b"\r\nContent-Length: 0\r\n\r\n\x82\x05early"
    )
    await reader.read()


def test_the_answer_of_an_old_engine_is_taken_and_early_frames_are_kept(run: Run) -> None:
    async def play() -> None:
        async with odd_server(answer_old) as server, dialled(plan(server.port)) as active:
            await active.until(lambda ears: ears.frames == [b"early"])

    run(play())


def test_a_link_that_ends_before_anybody_listens_still_tells(run: Run) -> None:
    async def play() -> None:
        async def bye(request: UpgradeRequest, peer: PeerInfo) -> Accept | Refuse:
            return Accept(subprotocol=BLIP, events=lambda link: Closing(link))

        class Closing(Ears):
            def __init__(self, link: Any) -> None:
                super().__init__(link)
                link.send([b"one"])
                link.close(4001, "no time")

        async with door(answer=bye) as listener:
            link = await dial(plan(listener.port))
            for _ in range(20):
                await asyncio.sleep(0)
            ears = Ears(link)
            link.attach(ears)
            assert (await ears.closed()).code == 4001
            assert ears.frames == [b"one"]

    run(play())


def test_every_address_of_a_name_is_tried(run: Run) -> None:
    async def play() -> None:
        async with (
            door(host="127.0.0.1") as listener,
            dialled(plan(listener.port, host="localhost")) as active,
        ):
            assert active.link.peer.address == "127.0.0.1"

    run(play())


def test_the_own_address_can_be_chosen(run: Run) -> None:
    async def play() -> None:
        async with door() as listener:
            async with dialled(plan(listener.port, local_address="127.0.0.1")):
                assert listener.requests[0][1].address == "127.0.0.1"
            with pytest.raises(ConfigError, match="local_address"):
                await dial(plan(listener.port, local_address="192.0.2.1"))

    run(play())


# --- what a listener says ------------------------------------------------------------------------


def http(status_line: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status_line}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("answer", "kind", "code", "transient", "says"),
    [
        (http("401 Unauthorized", b'{"reason":"Login required"}'), AuthenticationError, 401, False,
         "Login required"),
        (b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic charset="UTF-8"\r\n'
         b"Content-Length: 0\r\n\r\n", AuthenticationError, 401, False, "Unauthorized"),
        (http("403 Forbidden", b'{"reason":"not you"}'), RefusedError, 403, False, "not you"),
        (http("404 Not Found", b'{"reason":"no such database"}'), RefusedError, 404, False,
         "no such database"),
        (http("500 x", b"I only speak BLIP", "text/plain"), RefusedError, 500, False,
         "I only speak BLIP"),
        (http("408 x"), RefusedError, 408, True, "408"),
        (http("429 x"), RefusedError, 429, True, "429"),
        (http("502 x"), RefusedError, 502, True, "502"),
        (http("503 x", b'{"reason":"Replication limit exceeded"}'), RefusedError, 503, True,
         "limit exceeded"),
        (b"HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", RefusedError, 503, True,
         "in 7 s"),
        (http("504 x"), RefusedError, 504, True, "504"),
        (b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
         b"4\r\ngone\r\n0\r\n\r\n", RefusedError, 404, False, "gone"),
        (b"HTTP/1.1 404 x\r\nContent-Type: text/plain\r\n\r\nto the end", RefusedError, 404, False,
         "to the end"),
        (http("200 OK", b"<html>", "text/html"), NotAPeerError, 1002, False, "web server"),
        (b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", NotAPeerError, 1002, False, "upgrade"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotAPeerError, 400, False, "SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x28", NotAPeerError, 400, False, "wss://"),
        (b"\x00" * 50, NotAPeerError, 400, False, "begins with"),
        (b"", ConnectionFailedError, 18, True, "without an answer"),
        (b"HTTP/1.1 404 x\r\n", ConnectionFailedError, 18, True, "in the middle"),
    ],
)  # fmt: skip
def test_each_answer_becomes_its_error(
    run: Run, answer: bytes, kind: type, code: int, transient: bool, says: str
) -> None:
    async def play() -> None:
        async with odd_server(answer) as server:
            error = await failure(plan(server.port))
            assert type(error) is kind
            assert error.code == code
            assert error.domain == ("Network" if kind is ConnectionFailedError else "WebSocket")
            assert error.transient is transient
            assert says in str(error)
            assert str(server.port) in str(error) or kind is NotAPeerError

    run(play())


def test_a_chosen_protocol_that_was_not_offered_is_refused(run: Run) -> None:
    async def play() -> None:
        async with odd_server(answer_old) as server:
            error = await failure(plan(server.port, subprotocols=("BLIP_3+CBMobile_4",)))
            assert isinstance(error, NotAPeerError)
            assert (error.domain, error.code) == ("WebSocket", 403)

    run(play())


def test_a_body_without_end_is_cut(run: Run) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 x\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async def play() -> None:
        async with odd_server(endless) as server:
            error = await failure(plan(server.port))
            assert error.code == 403
            assert len(str(error)) < 400

    run(play())


# --- nobody, or somebody else --------------------------------------------------------------------


def test_nothing_listens_there(run: Run) -> None:
    async def play() -> None:
        error = await failure(plan(free_port()))
        assert isinstance(error, ConnectionFailedError)
        assert (error.domain, error.code, error.transient) == ("Network", 19, True)
        assert "127.0.0.1: nothing listens there" in str(error)

    run(play())


@pytest.mark.parametrize("trust", [None, PINNED])
def test_a_silent_server_is_given_up_at_the_deadline(run: Run, trust: Trust | None) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    async def play() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with odd_server(wait) as server:
            error = await failure(plan(server.port, trust=trust, handshake_s=0.1))
        assert isinstance(error, ConnectionFailedError)
        assert (error.domain, error.code, error.transient) == ("Network", 3, True)
        assert loop.time() - began < 1

    run(play())


@pytest.mark.parametrize(
    "banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail\r\n"]
)
def test_tls_against_something_without_it_says_so(run: Run, banner: bytes) -> None:
    async def play() -> None:
        async with odd_server(banner, until=b"") as server:
            error = await failure(plan(server.port, trust=PINNED, handshake_s=5))
            assert isinstance(error, NotAPeerError)
            assert "without TLS" in str(error)

    run(play())


def test_tls_against_a_listener_without_it_and_the_reverse_say_so(run: Run) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with door() as listener:
            error = await failure(plan(listener.port, trust=PINNED))
            assert isinstance(error, NotAPeerError)
            assert "ws://" in str(error)
            assert "TLS on a port without TLS" in listener.refusals[0].reason
        async with door(server_tls()) as listener:
            error = await failure(plan(listener.port))
            assert isinstance(error, NotAPeerError)
            assert "wss://" in str(error)
            assert "plain HTTP" in listener.refusals[0].reason
        assert loop.time() - began < 2

    run(play())


# --- whom to trust -------------------------------------------------------------------------------

CA = issue("authority", ca=True)
SIGNED = issue("signed", by=CA)
EXPIRED = issue("expired", days=(-30, -1))
FUTURE = issue("future", days=(1, 30))
NAMELESS = issue("nameless", by=CA, hosts=("elsewhere.example",))
FORGED = issue("forged", forged=True)
SELF_ONLY = Trust(self_signed_only=True)
ROOTS = Trust(roots_pem=CA.pem)

VERDICTS: list[tuple[str, Issued, Trust, int | None]] = [
    ("pinned", KITCHEN, PINNED, None),
    ("another is pinned", STRANGER, PINNED, 8),
    ("signed and pinned", SIGNED, Trust(pins=(SIGNED.pin,)), None),
    ("its authority is pinned", SIGNED, Trust(pins=(CA.pin,)), 8),
    ("pinned but expired", EXPIRED, Trust(pins=(EXPIRED.pin,)), 7),
    ("pinned but not valid yet", FUTURE, Trust(pins=(FUTURE.pin,)), 7),
    ("self-signed only", STRANGER, SELF_ONLY, None),
    ("signed, self-signed only", SIGNED, SELF_ONLY, 8),
    ("forged, self-signed only", FORGED, SELF_ONLY, 8),
    ("expired, self-signed only", EXPIRED, SELF_ONLY, 7),
    ("signed by the root", SIGNED, ROOTS, None),
    ("self-signed, but roots", STRANGER, ROOTS, 8),
    ("expired, signed by the root", issue("old", by=CA, days=(-30, -1)), ROOTS, 7),
    ("another name", NAMELESS, ROOTS, 15),
    ("self-signed, system roots", STRANGER, Trust(), 8),
    ("signed by an unknown root", SIGNED, Trust(), 11),
]


@pytest.mark.sec("SEC-28")
@pytest.mark.parametrize(
    ("name", "shown", "trust", "code"), VERDICTS, ids=[verdict[0] for verdict in VERDICTS]
)
def test_a_listener_is_trusted_or_gets_not_a_byte_of_the_request(
    run: Run, name: str, shown: Issued, trust: Trust, code: int | None
) -> None:
    async def play() -> None:
        heard: list[bytes] = []

        async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(65536))
            writer.write(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n")

        context = server_context(server_tls(shown))
        async with odd_server(record, ssl=context) as server:
            error = await failure(plan(server.port, trust=trust, host="localhost", headers=SECRET))
        if code is None:
            assert (type(error), error.code) == (RefusedError, 403)
            assert b"c2VjcmV0" in heard[0]
        else:
            assert isinstance(error, CertificateError)
            assert (error.domain, error.code, error.transient) == ("Network", code, False)
            assert b"".join(heard) == b""
            assert shown.pin.hex() in str(error)

    run(play())


@pytest.mark.sec("SEC-28")
def test_a_pinned_certificate_appended_to_anothers_chain_proves_nothing(run: Run) -> None:
    async def play() -> None:
        chain = ServerTLS(
            certificate_pem=STRANGER.pem + KITCHEN.pem, private_key_pem=STRANGER.key_pem
        )
        async with door(chain) as listener:
            error = await failure(plan(listener.port, trust=PINNED, headers=SECRET))
            assert isinstance(error, CertificateError)
            assert listener.requests == []

    run(play())


def test_a_certificate_can_be_looked_at_without_trusting_it(run: Run) -> None:
    async def play() -> None:
        async with door(server_tls(EXPIRED)) as listener:
            assert await fetch_certificate(plan(listener.port, trust=Trust())) == EXPIRED.der
            with pytest.raises(ConnectionFailedError):
                await fetch_certificate(plan(free_port(), trust=Trust()))
        async with door() as listener:
            with pytest.raises(NotAPeerError):
                await fetch_certificate(plan(listener.port, trust=Trust()))

    run(play())


# --- client certificates -------------------------------------------------------------------------

BOSS = issue("boss", by=CA)


@pytest.mark.parametrize(
    ("shown", "code"), [(BOSS, None), (None, 9), (STRANGER, 10), (EXPIRED, 10)]
)
def test_a_refused_client_certificate_is_no_reason_to_try_again(
    run: Run, shown: Issued | None, code: int | None
) -> None:
    async def play() -> None:
        async with door(server_tls(client_anchors_pem=CA.pem)) as listener:
            dialling = plan(
                listener.port, trust=PINNED, client_identity=shown.pair if shown else None
            )
            if code is None:
                async with dialled(dialling):
                    assert listener.requests[0][1].certificate_der == BOSS.der
                return
            error = await failure(dialling)
            assert isinstance(error, CertificateError)
            assert (error.domain, error.code, error.transient) == ("Network", code, False)
            assert listener.refusals[0].stage == "tls"
            assert "certificate" in listener.refusals[0].reason

    run(play())


def test_a_server_that_just_hangs_up_on_our_certificate_is_not_tried_again(run: Run) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pass

    async def play() -> None:
        context = server_context(server_tls())
        async with odd_server(hang_up, ssl=context) as server:
            error = await failure(plan(server.port, trust=PINNED, client_identity=BOSS.pair))
            assert isinstance(error, CertificateError)
            assert (error.code, error.transient) == (10, False)
            error = await failure(plan(server.port, trust=PINNED))
            assert isinstance(error, ConnectionFailedError)
            assert error.transient

    run(play())


# --- redirects -----------------------------------------------------------------------------------


def to(location: str) -> bytes:
    return f"HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_redirect_to_a_path_keeps_the_credentials(run: Run) -> None:
    async def play() -> None:
        seen: list[bytes] = []

        async def send_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            if len(seen) == 1:
                writer.write(to("/new/_blipsync"))
            else:
                writer.write(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")

        async with odd_server(send_on) as server:
            error = await failure(plan(server.port, headers=SECRET))
            assert error.code == 404
            assert seen[1].startswith(b"GET /new/_blipsync HTTP/1.1")
            assert b"c2VjcmV0" in seen[1]

    run(play())


@pytest.mark.sec("SEC-29")
def test_a_redirect_to_another_place_loses_the_credentials(run: Run) -> None:
    async def play() -> None:
        async with (
            odd_server(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n") as second,
            odd_server(to(f"http://127.0.0.1:{second.port}/db/_blipsync")) as first,
        ):
            error = await failure(plan(first.port, headers=SECRET))
            assert error.code == 404
            assert b"c2VjcmV0" in first.received
            assert second.received.startswith(b"GET /db/_blipsync")
            assert b"c2VjcmV0" not in second.received
            assert b"X-App" not in second.received

    run(play())


class Jar:
    """Keeps what it is asked and given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.taken: list[tuple[str, list[str]]] = []

    def header(self, *, secure: bool, host: str, path: str, but: frozenset[str]) -> str:
        self.asked.append((host, path))
        return "" if "none" in path else f"kept={host}; left={len(but)}"

    def take(self, *, secure: bool, host: str, path: str, set_cookie: Sequence[str]) -> None:
        self.taken.append((host, list(set_cookie)))


def test_cookies_are_asked_for_each_host_and_those_of_every_answer_are_taken(run: Run) -> None:
    async def play() -> None:
        refusal = (
            b"HTTP/1.1 401 x\r\nSet-Cookie: a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT\r\n"
            b"Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"
        )
        async with (
            odd_server(refusal) as second,
            odd_server(
                to(f"http://localhost:{second.port}/db")[:-2] + b"Set-Cookie: r=1\r\n\r\n"
            ) as first,
        ):
            jar = Jar()
            headers = (*SECRET, ("Cookie", "mine=1; too=2"))
            error = await failure(plan(first.port, headers=headers, cookies=jar))
            assert error.code == 401
            assert not error.transient
            assert b"\r\nCookie: mine=1; too=2; kept=127.0.0.1; left=2\r\n" in first.received
            assert first.received.count(b"Cookie") == 1
            assert b"\r\nCookie: kept=localhost; left=0\r\n" in second.received
            assert b"mine" not in second.received
            assert jar.taken == [
                ("127.0.0.1", ["r=1"]),
                ("localhost", ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"]),
            ]

    run(play())


@pytest.mark.sec("SEC-29")
def test_a_redirect_never_leaves_tls(run: Run) -> None:
    async def play() -> None:
        async with (
            odd_server(b"HTTP/1.1 404 x\r\n\r\n") as plain,
            odd_server(
                to(f"http://127.0.0.1:{plain.port}/db/_blipsync"),
                ssl=server_context(server_tls()),
            ) as secure,
        ):
            error = await failure(plan(secure.port, trust=PINNED, headers=SECRET))
            assert isinstance(error, RefusedError)
            assert (error.domain, error.code) == ("Network", 12)
            assert plain.received == b""

    run(play())


@pytest.mark.sec("SEC-29")
def test_redirects_without_end_end(run: Run) -> None:
    async def play() -> None:
        async with odd_server(to("/again")) as server:
            error = await failure(plan(server.port))
            assert isinstance(error, RefusedError)
            assert (error.domain, error.code) == ("Network", 12)
            assert server.received.count(b"GET ") == 11

    run(play())


# --- the plan ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"subprotocols": ()}, "subprotocols"),
    ],
)
def test_a_plan_that_can_not_work_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(1, **changes) if "port" not in changes else plan(changes["port"])
    assert caught.value.field == field


def test_a_header_that_can_not_be_sent_is_found_before_anything_is_dialled(run: Run) -> None:
    async def play() -> None:
        with pytest.raises(ConfigError, match="headers"):
            await dial(plan(free_port(), headers=(("X", "a\r\nb"),)))

    run(play())


def test_a_key_that_can_not_be_used_is_found_before_the_handshake(run: Run) -> None:
    async def play() -> None:
        async with door(server_tls()) as listener:
            with pytest.raises(ConfigError, match="private key"):
                await dial(
                    plan(
                        listener.port,
                        trust=PINNED,
                        client_identity=(BOSS.pem, STRANGER.key_pem),
                    )
                )

    run(play())


def test_dialling_can_be_cancelled_at_any_time(run: Run) -> None:
    async def play() -> None:
        async with door(server_tls(), limits=AcceptLimits(per_address_max=500)) as listener:
            for turn_count in range(0, 40, 2):
                task = asyncio.create_task(dial(plan(listener.port, trust=PINNED)))
                for _ in range(turn_count):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    link = await task
                except asyncio.CancelledError:
                    continue
                link.abort()

    run(play())


def test_json_reasons_survive_the_way() -> None:
    # The listener's JSON is what Couchbase Lite reads too.
    from settee.net.http1 import refusal_bytes

    body = json.loads(refusal_bytes(503, "over capacity").split(b"\r\n\r\n")[1])
    assert body == {"error": "service_unavailable", "reason": "over capacity"}
