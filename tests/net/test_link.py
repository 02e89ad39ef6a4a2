"""The link: time and order without sockets, the rest over real ones on both loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from settee.errors import ConnectionFailedError, PeerError, PeerProtocolError
from settee.limits import (
    CLOSE_WAIT_S,
    CONTROL_FRAMES_BURST_MAX,
    EARLY_BYTES_MAX,
    LINGER_S,
    WRITE_BUFFER_BYTES_MAX,
    WRITE_BYTES_MAX,
)
from settee.net.frames import (
    OP_BINARY,
    OP_CLOSE,
    OP_PING,
    OP_PONG,
    Parser,
    close_payload,
    pack,
    pack_control,
)
from settee.net.link import CloseInfo, PeerInfo, SocketLink
from settee.net.wire import ReadBuffer, Wire
from tests.net.scene import (
    PINNED,
    Ears,
    Run,
    dialled,
    door,
    plan,
    relay,
    run_virtually,
    server_tls,
)

KEY = b"\x05\x06\x07\x08"
PEER = PeerInfo(address="10.0.0.7", port=4984)


class Transport(asyncio.Transport):
    """A socket made of lists, for tests in virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.reading = True
        self.ended: str | None = None
        self.protocol: Any = None
        self.deaf = False
        """Whether `close` waits for ever, as for a peer that reads nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.ended is not None

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self._end("closed", None, unless=self.deaf)

    def abort(self) -> None:
        self.deaf, self.ended = False, None
        self._end("aborted", None)

    def lose(self, exc: Exception | None) -> None:
        self._end("lost", exc)

    def _end(self, how: str, exc: Exception | None, *, unless: bool = False) -> None:
        if self.ended is None:
            self.ended = how
            if not unless:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, exc)

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)


class Stage:
    """One link of a server, its user, and the client's side as bytes."""

    def __init__(self, *, attach: bool = True, **options: Any) -> None:
        self.transport = Transport()
        self.wire = Wire(ReadBuffer(), _Nobody())
        self.transport.protocol = self.wire
        self.wire.connection_made(self.transport)
        self.gone_count = 0
        self.link = SocketLink(self.wire, server=True, peer=PEER, on_gone=self.gone, **options)
        self.ears = Ears(self.link)
        if attach:
            self.link.attach(self.ears)

    def gone(self) -> None:
        self.gone_count += 1

    def hear(self, data: bytes) -> None:
        view = self.wire.get_buffer(-1)
        view[: len(data)] = data
        self.wire.buffer_updated(len(data))

    def hear_frames(self, *payloads: bytes) -> None:
        self.hear(pack(payloads, KEY * len(payloads)))

    def hear_control(self, opcode: int, payload: bytes = b"") -> None:
        self.hear(pack_control(opcode, payload, KEY))

    def said(self) -> list[tuple[int, bytes]]:
        return Parser(False).feed(self.transport.sent)


class _Nobody:
    def connected(self) -> None:
        pass

    def received(self, data: bytes) -> None:
        pass

    def drained(self) -> None:
        pass

    def ended(self, error: Exception | None) -> None:
        pass


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def virtually(test: Callable[[], Any]) -> Callable[[], None]:
    """Run a test in virtual time."""

    def wrapped() -> None:
        run_virtually(test())

    wrapped.__name__ = test.__name__
    return wrapped


# --- sending -------------------------------------------------------------------------------------


@virtually
async def test_all_that_is_sent_in_one_turn_goes_out_in_one_write() -> None:
    stage = Stage()
    for number in range(100):
        stage.link.send([b"frame %d" % number, b"and another"])
    assert stage.transport.writes == []
    await turns()
    assert len(stage.transport.writes) == 1
    assert len(stage.said()) == 200


@virtually
async def test_a_write_is_never_larger_than_its_limit() -> None:
    stage = Stage()
    stage.link.send(b"x" * 16_000 for _ in range(20))
    await turns(10)
    assert max(map(len, stage.transport.writes)) <= WRITE_BYTES_MAX
    assert len(stage.transport.writes) == 5
    assert len(stage.said()) == 20


@virtually
async def test_a_frame_larger_than_a_write_goes_alone() -> None:
    stage = Stage()
    stage.link.send([b"a", b"x" * (2 * WRITE_BYTES_MAX), b"b"])
    await turns(6)
    assert [len(payload) for _, payload in stage.said()] == [1, 2 * WRITE_BYTES_MAX, 1]
    assert len(stage.transport.writes) == 3


@virtually
async def test_a_full_transport_stops_the_queue_and_tells_when_it_goes_on() -> None:
    stage = Stage()
    stage.wire.pause_writing()
    assert not stage.link.writable
    stage.link.send([b"x" * 1000] * 300)
    await turns()
    assert stage.transport.writes == []
    assert stage.ears.writable_count == 0
    stage.wire.resume_writing()
    await turns(10)
    assert stage.ears.writable_count == 1
    assert stage.link.writable
    assert len(stage.said()) == 300


@virtually
async def test_a_long_queue_is_not_writable() -> None:
    stage = Stage()
    stage.link.send([b"x" * WRITE_BUFFER_BYTES_MAX])
    assert not stage.link.writable
    await turns()
    assert stage.link.writable
    assert stage.ears.writable_count == 1


@virtually
async def test_a_pong_overtakes_the_queue_and_carries_the_same_payload() -> None:
    stage = Stage()
    stage.link.send([b"x" * 60_000] * 10)
    stage.hear_control(OP_PING, b"are you there")
    await turns(12)
    assert stage.said()[0] == (OP_PONG, b"are you there")
    assert len(stage.said()) == 11


@virtually
async def test_a_clients_frames_are_masked_with_fresh_keys() -> None:
    stage = Stage()
    calls: list[int] = []

    def chance(count: int) -> bytes:
        calls.append(count)
        return bytes(range(len(calls), len(calls) + count))

    client = SocketLink(stage.wire, server=False, peer=PEER, random_bytes=chance)
    client.send([b"one", b"two"])
    await turns()
    assert calls == [8]
    assert Parser(True).feed(stage.transport.sent) == [(OP_BINARY, b"one"), (OP_BINARY, b"two")]
    assert b"one" not in stage.transport.sent
    client.abort()
    await turns()


# --- receiving -----------------------------------------------------------------------------------


@virtually
async def test_frames_of_one_read_come_in_one_call() -> None:
    stage = Stage()
    stage.hear_frames(b"a", b"b", b"c")
    assert stage.ears.frames == [b"a", b"b", b"c"]
    assert stage.ears.batch_count == 1


@virtually
async def test_what_came_before_anybody_listened_is_kept_up_to_a_limit() -> None:
    stage = Stage(attach=False)
    for _ in range(5):
        stage.hear_frames(b"x" * 200_000)
    assert stage.transport.reading
    stage.hear_frames(b"x" * (EARLY_BYTES_MAX - 999_999))
    assert not stage.transport.reading
    stage.link.attach(stage.ears)
    assert len(stage.ears.frames) == 6
    assert stage.transport.reading


@virtually
async def test_an_end_before_anybody_listened_is_told_after_the_frames() -> None:
    stage = Stage(attach=False)
    stage.hear_frames(b"last words")
    stage.hear_control(OP_CLOSE, close_payload(4001, "later"))
    await turns(6)
    assert stage.transport.ended == "closed"
    stage.link.attach(stage.ears)
    assert stage.ears.frames == [b"last words"]
    assert stage.ears.infos[0].code == 4001


@virtually
async def test_pausing_stops_reading_and_resuming_starts_it() -> None:
    stage = Stage()
    stage.link.pause()
    assert not stage.transport.reading
    stage.link.resume()
    assert stage.transport.reading


@virtually
async def test_a_broken_frame_closes_with_its_code_after_the_good_ones() -> None:
    stage = Stage()
    stage.hear(pack([b"good"], KEY) + b"\xc2\x80")
    await turns()
    assert stage.ears.frames == [b"good"]
    opcode, payload = stage.said()[0]
    assert (opcode, payload[:2]) == (OP_CLOSE, b"\x03\xea")
    began = now()
    info = await stage.ears.closed()
    assert isinstance(info.error, PeerProtocolError)
    assert (info.code, info.clean) == (1002, False)
    assert now() - began <= LINGER_S + 0.01


@pytest.mark.sec("SEC-12")
@virtually
async def test_a_flood_of_pings_ends_the_link_at_the_limit() -> None:
    stage = Stage()
    for _ in range(CONTROL_FRAMES_BURST_MAX):
        stage.hear_control(OP_PING)
    await turns()
    assert [opcode for opcode, _ in stage.said()] == [OP_PONG] * CONTROL_FRAMES_BURST_MAX
    stage.hear_control(OP_PONG)
    info = await stage.ears.closed()
    assert info.code == 1008


@virtually
async def test_pings_at_the_allowed_rate_go_on_for_ever() -> None:
    stage = Stage()
    for _ in range(2000):
        stage.hear_control(OP_PING)
        await asyncio.sleep(0.0501)
    assert len(stage.said()) == 2000
    stage.link.abort()
    await stage.ears.closed()


# --- the heartbeat -------------------------------------------------------------------------------


@pytest.mark.regression("never connects again")
@pytest.mark.feature("REP-11")
@virtually
async def test_a_silent_peer_is_pinged_once_and_gone_after_the_grace() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    began = now()
    info = await stage.ears.closed()
    assert now() - began == pytest.approx(80, abs=0.1)
    assert [opcode for opcode, _ in stage.said()] == [OP_PING]
    assert isinstance(info.error, ConnectionFailedError)
    assert (info.code, info.clean, info.error.transient) == (1006, False, True)
    assert (info.error.domain, info.error.code) == ("Network", 3)
    assert stage.gone_count == 1


@virtually
async def test_a_peer_that_answers_pings_stays() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    await asyncio.sleep(1)
    for count in range(1, 11):
        await asyncio.sleep(61)
        assert [opcode for opcode, _ in stage.said()] == [OP_PING] * count
        stage.hear_control(OP_PONG)
    assert not stage.ears.infos
    assert stage.link.last_heard_s < 1
    stage.link.abort()
    await stage.ears.closed()


@virtually
async def test_a_peer_that_talks_is_not_pinged() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    for _ in range(20):
        await asyncio.sleep(30)
        stage.hear_frames(b"hello")
    assert stage.said() == []
    stage.link.abort()
    await stage.ears.closed()


@pytest.mark.sec("SEC-01")
@virtually
async def test_single_bytes_of_a_frame_are_no_sign_of_life() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    stage.hear(pack([b"x" * 5000], KEY)[:100])
    began = now()
    while not stage.ears.infos and now() < began + 200:
        await asyncio.sleep(1)
        if not stage.ears.infos:
            stage.hear(b"x")
    assert now() - began == pytest.approx(80, abs=1.1)


@pytest.mark.sec("SEC-15")
@virtually
async def test_a_peer_that_reads_nothing_is_gone_though_it_talks() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    stage.wire.pause_writing()
    stage.link.ping()
    await turns()
    began = now()
    while not stage.ears.infos and now() < began + 200:
        stage.hear_frames(b"hello")
        await asyncio.sleep(10)
    assert 80 <= now() - began <= 150
    info = stage.ears.infos[0]
    assert info.error is not None
    assert "took nothing" in str(info.error)


@virtually
async def test_silence_is_not_held_against_a_peer_that_we_do_not_read() -> None:
    stage = Stage(heartbeat_s=60, grace_s=20)
    stage.link.pause()
    await asyncio.sleep(1000)
    assert not stage.ears.infos
    stage.link.resume()
    await asyncio.sleep(79)
    assert not stage.ears.infos
    await asyncio.sleep(2)
    assert stage.ears.infos


@virtually
async def test_without_a_heartbeat_silence_means_nothing() -> None:
    stage = Stage(heartbeat_s=None)
    await asyncio.sleep(100_000)
    assert not stage.ears.infos
    stage.link.abort()
    await stage.ears.closed()


# --- the end -------------------------------------------------------------------------------------


@virtually
async def test_closing_waits_for_the_answer_then_ends() -> None:
    stage = Stage()
    stage.link.send([b"last"])
    stage.link.close(4002, "not allowed")
    stage.link.close(1000)
    stage.link.send([b"too late"])
    await turns()
    assert stage.said() == [(OP_BINARY, b"last"), (OP_CLOSE, close_payload(4002, "not allowed"))]
    assert stage.transport.ended is None
    stage.hear_frames(b"ignored")
    stage.hear_control(OP_CLOSE, close_payload(4002, "not allowed"))
    assert await stage.ears.closed() == CloseInfo(code=4002, reason="not allowed", clean=True)
    assert stage.transport.ended == "closed"
    assert stage.ears.frames == []


@virtually
async def test_closing_does_not_wait_for_ever() -> None:
    stage = Stage()
    began = now()
    stage.link.close(1000)
    info = await stage.ears.closed()
    assert now() - began == pytest.approx(CLOSE_WAIT_S)
    assert info == CloseInfo(code=1000)
    assert stage.transport.ended == "aborted"


@virtually
async def test_a_goodbye_does_not_queue_behind_what_the_peer_does_not_read() -> None:
    stage = Stage()
    stage.wire.pause_writing()
    stage.link.send([b"x" * 1000] * 200)
    stage.link.close(4001, "stopping")
    await turns()
    stage.wire.resume_writing()
    await turns(8)
    assert Parser(False).feed(stage.transport.sent) == [(OP_CLOSE, close_payload(4001, "stopping"))]
    assert stage.transport.sent.endswith(b"stopping")
    await stage.ears.closed()


@virtually
async def test_a_goodbye_does_not_wait_for_a_long_queue() -> None:
    stage = Stage()
    stage.link.send([b"x" * 1000] * 200)
    stage.link.close(4001, "stopping")
    await turns(8)
    assert len(stage.transport.sent) < 100
    await stage.ears.closed()


@virtually
async def test_closing_a_paused_link_reads_the_answer() -> None:
    stage = Stage()
    stage.link.pause()
    stage.link.close()
    assert stage.transport.reading
    stage.hear_control(OP_CLOSE, close_payload(1000))
    assert (await stage.ears.closed()).clean


@pytest.mark.parametrize(
    ("code", "reason", "error", "transient"),
    [
        (1000, "", None, False),
        (1001, "bye", None, False),
        (1002, "", PeerError, False),
        (1011, "Unexpected exception", PeerError, False),
        (4001, "over capacity", PeerError, True),
        (4002, "no", PeerError, False),
    ],
)
def test_a_peers_close_is_echoed_and_explained(
    code: int, reason: str, error: type | None, transient: bool
) -> None:
    async def play() -> None:
        stage = Stage()
        stage.link.send([b"not any more"])
        stage.hear_control(OP_CLOSE, close_payload(code, reason))
        info = await stage.ears.closed()
        assert stage.said() == [(OP_CLOSE, close_payload(code, reason))]
        assert (info.code, info.reason, info.clean, info.by_peer) == (code, reason, True, True)
        if error is None:
            assert info.error is None
        else:
            assert isinstance(info.error, error)
            assert (info.error.domain, info.error.code) == ("WebSocket", code)
            assert info.error.transient is transient

    run_virtually(play())


@virtually
async def test_a_close_without_a_code_is_echoed_so() -> None:
    stage = Stage()
    stage.hear_control(OP_CLOSE)
    info = await stage.ears.closed()
    assert stage.said() == [(OP_CLOSE, b"")]
    assert (info.code, info.error) == (1005, None)


@pytest.mark.sec("SEC-38")
@virtually
async def test_a_peers_reason_can_not_forge_log_lines() -> None:
    stage = Stage()
    stage.hear_control(OP_CLOSE, close_payload(4002, "a\nERROR b\x1b[0m"))
    info = await stage.ears.closed()
    assert info.reason == "a\\x0aERROR b\\x1b[0m"


@virtually
async def test_both_closing_at_once_ends_cleanly() -> None:
    stage = Stage()
    stage.link.close(4001, "mine")
    stage.hear_control(OP_CLOSE, close_payload(1000))
    info = await stage.ears.closed()
    assert stage.said() == [(OP_CLOSE, close_payload(4001, "mine"))]
    assert (info.code, info.clean) == (4001, True)


@virtually
async def test_a_lost_connection_is_worth_another_try() -> None:
    stage = Stage()
    stage.transport.lose(ConnectionResetError(104, "Connection reset by peer"))
    info = await stage.ears.closed()
    assert (info.code, info.clean, info.by_peer) == (1006, False, True)
    assert isinstance(info.error, ConnectionFailedError)
    assert (info.error.domain, info.error.code, info.error.transient) == ("WebSocket", 1006, True)
    assert "Connection reset by peer" in str(info.error)
    stage.link.send([b"nobody there"])
    stage.link.ping()
    stage.link.close()
    stage.link.abort()
    await turns()
    assert stage.transport.writes == []
    assert not stage.link.writable


@virtually
async def test_a_peer_that_does_not_take_our_last_word_is_cut_off() -> None:
    stage = Stage()
    stage.transport.deaf = True
    stage.hear_control(OP_CLOSE, close_payload(1000))
    began = now()
    await stage.ears.closed()
    assert stage.transport.ended == "aborted"
    assert now() - began == pytest.approx(LINGER_S)


@virtually
async def test_a_user_that_raises_closes_its_link_and_is_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    stage = Stage(attach=False)

    class Clumsy(Ears):
        def on_frames(self, frames: list[bytes]) -> None:
            raise ValueError("a bug")

    clumsy = Clumsy(stage.link)
    stage.link.attach(clumsy)
    stage.hear_frames(b"x")
    await turns()
    assert stage.said()[0][1][:2] == b"\x03\xf3"
    assert [type(context["exception"]) for context in reported] == [ValueError]
    stage.link.abort()
    assert (await clumsy.closed()).code == 1011


# --- real sockets --------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_frames_go_both_ways_and_the_end_is_told_on_both_sides(run: Run, tls: bool) -> None:
    async def play() -> None:
        async with (
            door(server_tls() if tls else None) as listener,
            dialled(plan(listener.port, trust=PINNED if tls else None)) as active,
        ):
            passive = await listener.link_of()
            up = [b"%d " % number + b"x" * (number % 300) for number in range(3000)]
            down = [b"y" * 16_384] * 50
            active.link.send(up)
            passive.link.send(down)
            await passive.until(lambda ears: len(ears.frames) == len(up))
            await active.until(lambda ears: len(ears.frames) == len(down))
            assert passive.frames == up
            assert active.frames == down
            assert passive.batch_count < 100
            active.link.close(1000)
            assert await active.closed() == CloseInfo(code=1000, clean=True)
            assert await passive.closed() == CloseInfo(code=1000, clean=True, by_peer=True)

    run(play())


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("code", [4001, 4002])
def test_a_listener_says_whether_to_come_back(run: Run, tls: bool, code: int) -> None:
    async def play() -> None:
        async with (
            door(server_tls() if tls else None) as listener,
            dialled(plan(listener.port, trust=PINNED if tls else None)) as active,
        ):
            passive = await listener.link_of()
            passive.link.close(code, "so it is")
            info = await active.closed()
            assert (info.code, info.reason, info.clean) == (code, "so it is", True)
            assert info.error is not None
            assert info.error.transient is (code == 4001)
            assert (await passive.closed()).clean

    run(play())


@pytest.mark.parametrize("tls", [False, True])
def test_an_abort_is_a_lost_connection_to_the_other_side(run: Run, tls: bool) -> None:
    async def play() -> None:
        async with (
            door(server_tls() if tls else None) as listener,
            dialled(plan(listener.port, trust=PINNED if tls else None)) as active,
        ):
            passive = await listener.link_of()
            passive.link.abort()
            info = await active.closed()
            assert info.code == 1006
            assert info.error is not None
            assert info.error.transient
            assert (await passive.closed()).error is None

    run(play())


@pytest.mark.sec("SEC-27")
@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_reader_is_seen_by_the_sender_and_costs_bounded_memory(run: Run, tls: bool) -> None:
    async def play() -> None:
        async with (
            door(server_tls() if tls else None) as listener,
            dialled(plan(listener.port, trust=PINNED if tls else None)) as active,
        ):
            passive = await listener.link_of()
            passive.link.pause()
            sent = 0
            while active.link.writable:
                active.link.send([b"x" * 16_000] * 4)
                sent += 4
                await asyncio.sleep(0)
                assert sent < 4000, "the kernel can't take so much"
            assert active.writable_count == 0
            delivered = len(passive.frames)
            await turns(20)
            assert len(passive.frames) == delivered
            passive.link.resume()
            await active.until(lambda ears: ears.writable_count == 1)
            await passive.until(lambda ears: len(ears.frames) == sent)

    run(play())


def tls_records(wire: bytes) -> list[int]:
    """The sizes of the application data records in what a client sent."""
    sizes, at = [], 0
    while at + 5 <= len(wire):
        size = int.from_bytes(wire[at + 3 : at + 5], "big")
        if wire[at] == 23:
            sizes.append(size)
        at += 5 + size
    return sizes


def test_a_burst_goes_out_in_as_few_tls_records_as_it_fits_in(run: Run) -> None:
    async def play() -> None:
        async with (
            door(server_tls()) as listener,
            relay(listener.port) as tap,
            dialled(plan(tap.port, trust=PINNED)) as active,
        ):
            passive = await listener.link_of()
            before = len(tls_records(bytes(tap.received)))
            active.link.send([b"x" * 250] * 640)
            await passive.until(lambda ears: len(ears.frames) == 640)
            records = tls_records(bytes(tap.received))[before:]
            assert sum(records) > 640 * 256
            assert len(records) <= 640 * 256 // 16_384 + 3

    run(play())
