"""The wire that does harm does what it was told, and the stage notices when harm was done."""

from __future__ import annotations

import asyncio
import json
import socket
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from settee.blip import codec
from tests.proxy.__main__ import main
from tests.proxy.faults import FaultProxy
from tests.proxy.loop import JumpingLoop
from tests.proxy.pair import HarmDoneError, stage
from tests.proxy.plan import PlanError, Scene, Way, load, parse
from tests.simulation.loop import Stuck

SAID = bytes(range(256)) * 4


class Echo(asyncio.Protocol):
    """Says back what it hears."""

    def __init__(self, heard: list[bytes]) -> None:
        self._heard = heard
        self.ended = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard.append(data)
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


def play(scene: Scene, work: Callable[[FaultProxy, socket.socket, Any], Awaitable[Any]]) -> Any:
    """Say something through the wire to a server that says it back; `work` is the dialling end."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        heard: list[bytes] = []
        echoes: list[Echo] = []

        def echo() -> Echo:
            echoes.append(Echo(heard))
            return echoes[-1]

        server = await loop.create_server(echo, "127.0.0.1", 0)
        proxy = FaultProxy(server.sockets[0].getsockname()[1], seed=1)
        proxy.scene = scene
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
            return await work(proxy, sock, heard)
        finally:
            sock.close()
            await proxy.close()
            server.close()
            await asyncio.gather(*(each.ended.wait() for each in echoes))

    loop = JumpingLoop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main(), 1000))
    finally:
        loop.close()


async def said_and_heard(sock: socket.socket) -> bytes:
    """Say all, and return what comes back until the end; a reset is told as one."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, SAID)
    answer = b""
    try:
        while len(answer) < len(SAID) and (data := await loop.sock_recv(sock, 1000)):
            answer += data
    except ConnectionResetError:
        answer += b" reset"
    return answer


def test_without_a_scene_all_passes_and_is_counted() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, _: Any) -> None:
        assert await said_and_heard(sock) == SAID
        assert proxy.passed == {"up": len(SAID), "down": len(SAID)}

    play(Scene(name="plain"), work)


def test_a_cut_lets_exactly_so_many_bytes_pass() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        assert await said_and_heard(sock) == SAID[:100] + b" reset"

    play(Scene(name="reset", down=Way(cut_at=100)), work)

    async def closed(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        assert await said_and_heard(sock) == SAID[:100]

    play(Scene(name="close", down=Way(cut_at=100, how="close")), closed)


def test_a_half_closed_wire_still_brings_the_answers() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        assert await said_and_heard(sock) == SAID[:700]
        assert b"".join(heard) == SAID[:700]

    play(Scene(name="half", up=Way(cut_at=700, how="half")), work)


def test_a_hole_tells_nobody() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(said_and_heard(sock), 500)
        assert b"".join(heard) == SAID[:700]

    play(Scene(name="hole", up=Way(cut_at=700, how="hole")), work)


def test_one_bit_of_one_byte_is_turned() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        answer = await said_and_heard(sock)
        assert [n for n, (a, b) in enumerate(zip(answer, SAID, strict=True)) if a != b] == [300]
        assert answer[300] ^ SAID[300] == 1 << 5

    play(Scene(name="flip", up=Way(flip_at=300, flip_bit=5)), work)


@pytest.mark.parametrize(
    ("way", "least_s", "most_s"),
    [
        (Way(delay_s=2), 2, 2.1),
        (Way(jitter_s=3), 0.01, 3.1),
        (Way(bytes_per_s=100), len(SAID) / 100, len(SAID) / 100 + 0.1),
        (Way(piece=1), 0, 0.1),
    ],
)
def test_bytes_come_in_order_and_as_late_as_was_said(
    way: Way, least_s: float, most_s: float
) -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await said_and_heard(sock) == SAID
        assert least_s <= loop.time() - began <= most_s

    play(Scene(name="late", up=way), work)


def test_a_double_says_all_once_more_and_nobody_hears_its_answers() -> None:
    async def work(proxy: FaultProxy, sock: socket.socket, heard: Any) -> None:
        assert await said_and_heard(sock) == SAID
        await asyncio.sleep(1)
        assert len(b"".join(heard)) == 2 * len(SAID)

    play(Scene(name="double", duplicate=True), work)


def test_a_wire_without_anybody_behind_it_is_reset() -> None:
    async def main() -> None:
        nobody = socket.create_server(("127.0.0.1", 0))
        proxy = FaultProxy(nobody.getsockname()[1])
        nobody.close()
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", proxy.port))
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(sock, 10)
        await proxy.close()

    asyncio.run(main())


def test_a_loop_on_which_nothing_can_happen_any_more_says_so() -> None:
    loop = JumpingLoop()
    try:
        with pytest.raises(Stuck):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()


# --- plans ----------------------------------------------------------------------------------------


def test_the_plan_that_is_there_is_one_and_names_each_scene_once() -> None:
    plan = load(Path(__file__).parent / "plan.json")
    names = [scene.name for scene in plan.scenes]
    assert len(set(names)) == len(names) >= 25


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "the plan must be an object"),
        ({"scenes": {}}, "scenes must be a list"),
        ({}, "missing"),
        ({"scenes": [3]}, "scene 0 must be an object"),
        ({"scenes": [{}]}, "scene 0: .*name"),
        ({"scenes": [{"name": "x", "sideways": {}}]}, "scene 'x' has no 'sideways'"),
        ({"scenes": [{"name": "x", "up": {"late_s": 1}}]}, "'x', up has no 'late_s'"),
        ({"scenes": [{"name": "x", "up": {"cut_at": -1}}]}, "cut_at must be a number"),
        ({"scenes": [{"name": "x", "up": {"piece": 0}}]}, "nothing would ever arrive"),
        ({"scenes": [{"name": "x", "down": {"how": "softly"}}]}, "ends in one of"),
    ],
)
def test_what_is_no_plan_is_told_with_its_place(given: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        parse(given)


def test_a_plan_that_is_none_ends_with_2_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{", encoding="utf-8")
    assert main(["--plan", str(path)]) == 2
    path.write_text(json.dumps({"scenes": 3}), encoding="utf-8")
    assert main(["--plan", str(path)]) == 2
    assert main(["--plan", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("settee: ") == 3


# --- peers ----------------------------------------------------------------------------------------


def test_two_peers_end_equal_behind_a_wire_that_is_cut() -> None:
    with stage() as made:
        passed = made.play(Scene(name="cut", up=Way(cut_at=2500)))
        assert passed["up"] == 2500


def test_a_turned_bit_that_nobody_checks_does_harm_and_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stage would see a checksum that is not compared."""
    monkeypatch.setattr(codec, "crc32", lambda payload, before=0: 0)
    monkeypatch.setattr(codec, "_compressobj", zlib.compressobj)  # It says which bit is where.
    with stage() as made, pytest.raises(HarmDoneError, match="left-new was acknowledged"):
        made.play(Scene(name="turned", up=Way(flip_at=950, flip_bit=3)))
