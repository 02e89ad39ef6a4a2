"""The wire: puts whoever dials it through to a port, and does to the bytes what a scene says."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from tests.proxy.plan import Scene, Way

READ_BYTES: Final = 65536
CHUNKS_UNDER_WAY_MAX: Final = 64
SLOW_PIECE_BYTES: Final = 64
"""Of a wire that carries so many bytes a second, unless the scene has pieces of its own."""
QUIET: Final = Way()


def reset(sock: socket.socket) -> None:
    """Close with RST: what is under way is thrown away."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class _Connection:
    """One that dialled, and the one it was put through to."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near: Final = near
        self.far: Final = far
        self.tasks: list[asyncio.Task[None]] = []

    def end(self, *, with_reset: bool) -> None:
        for sock in (self.near, self.far):
            if with_reset:
                reset(sock)
            else:
                sock.close()
        current = asyncio.current_task()
        for task in self.tasks:
            if task is not current:
                task.cancel()


class FaultProxy:
    """Listens on `port` of loopback. What `scene` says holds for connections made from then on."""

    def __init__(self, target: int, seed: int = 0) -> None:
        self.scene: Scene | None = None
        """None: all passes."""
        self.passed: dict[str, int] = {"up": 0, "down": 0}
        """Bytes that were handed on since `watch` was called."""
        self._target: Final = target
        self._chance: Final = random.Random(seed)
        self._server: Final = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port: Final[int] = self._server.getsockname()[1]
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._connections: Final[set[_Connection]] = set()
        self._listening: Final = self._spawn(self._accept())

    def watch(self) -> None:
        """Count from 0 again."""
        self.passed.update(up=0, down=0)

    async def close(self) -> None:
        """End all connections, and put nobody through any more."""
        for connection in list(self._connections):
            connection.end(with_reset=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            near, _ = await loop.sock_accept(self._server)
            self._spawn(self._put_through(near, self.scene))

    async def _dial(self) -> socket.socket:
        far = socket.socket()
        far.setblocking(False)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", self._target))
        except BaseException:
            far.close()
            raise
        return far

    async def _put_through(self, near: socket.socket, scene: Scene | None) -> None:
        near.setblocking(False)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            far = await self._dial()
        except OSError:
            reset(near)
            return
        connection = _Connection(near, far)
        self._connections.add(connection)
        double: socket.socket | None = None
        try:
            if scene is not None and scene.duplicate:
                double = await self._dial()
                connection.tasks.append(self._spawn(self._swallow(double)))
            up, down = (QUIET, QUIET) if scene is None else (scene.up, scene.down)
            pumps = [
                self._spawn(self._pump(connection, near, far, up, "up", double)),
                self._spawn(self._pump(connection, far, near, down, "down", None)),
            ]
            connection.tasks += pumps
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            for task in connection.tasks:
                task.cancel()
            if double is not None:
                double.close()
            near.close()
            far.close()
            self._connections.discard(connection)

    async def _swallow(self, double: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(double, READ_BYTES):
                pass

    async def _pump(
        self,
        connection: _Connection,
        source: socket.socket,
        sink: socket.socket,
        way: Way,
        name: str,
        double: socket.socket | None,
    ) -> None:
        """Hand on one direction until its end."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY_MAX)

        async def read() -> None:
            due_s = 0.0
            data = b"begin"
            while data:
                try:
                    data = await loop.sock_recv(source, READ_BYTES)
                except OSError:
                    connection.end(with_reset=True)
                    return
                late_s = way.delay_s + way.jitter_s * self._chance.random()
                due_s = max(due_s, loop.time() + late_s)
                await under_way.put((due_s, data))

        reader = self._spawn(read())
        connection.tasks.append(reader)
        place = 0
        try:
            while True:
                due_s, data = await under_way.get()
                if due_s > loop.time():
                    await asyncio.sleep(due_s - loop.time())
                if not data:
                    with contextlib.suppress(OSError):
                        sink.shutdown(socket.SHUT_WR)
                    return
                for piece in _pieces(data, way, place):
                    if way.bytes_per_s is not None:
                        await asyncio.sleep(len(piece) / way.bytes_per_s)
                    if piece:
                        await loop.sock_sendall(sink, piece)
                        if double is not None:
                            with contextlib.suppress(OSError):
                                await loop.sock_sendall(double, piece)
                        place += len(piece)
                        self.passed[name] += len(piece)
                    if way.piece is not None:
                        await asyncio.sleep(0)
                    if way.cut_at is not None and place >= way.cut_at:
                        reader.cancel()
                        await asyncio.gather(reader, return_exceptions=True)
                        await self._cut(connection, source, sink, way)
                        return
        except OSError:
            connection.end(with_reset=True)
        finally:
            reader.cancel()

    async def _cut(
        self, connection: _Connection, source: socket.socket, sink: socket.socket, way: Way
    ) -> None:
        if way.how in ("reset", "close"):
            connection.end(with_reset=way.how == "reset")
            return
        if way.how == "half":
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
        # The sender learns nothing; what it says goes nowhere, and so does its goodbye.
        await self._swallow(source)


def _pieces(data: bytes, way: Way, place: int) -> Iterator[bytes]:
    """Give what is to be handed on of `data`, which begins at `place` of its direction."""
    if way.flip_at is not None and place <= way.flip_at < place + len(data):
        turned = bytearray(data)
        turned[way.flip_at - place] ^= 1 << way.flip_bit
        data = bytes(turned)
    if way.cut_at is not None:
        data = data[: max(0, way.cut_at - place)]
        if not data:
            yield b""
            return
    size = way.piece or (len(data) if way.bytes_per_s is None else SLOW_PIECE_BYTES)
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]
