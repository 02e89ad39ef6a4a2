"""A wire between two peers that can be cut: a TCP relay on loopback, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final

__all__ = ["Relay"]

CHUNK_BYTES: Final = 64 * 1024


class Relay:
    """Whoever dials `port` is put through to `target`, a port too."""

    def __init__(self, target: int) -> None:
        self._target: Final = target
        self._lock: Final = threading.Lock()
        self._open: Final[set[socket.socket]] = set()
        self._server: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Break all connections as a lost network does; return how many there were."""
        with self._lock:
            broken = list(self._open)
        for each in broken:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        return len(broken) // 2

    def close(self) -> None:
        """Put nobody through any more."""
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # The server was closed.
            while True:
                caller, _ = self._server.accept()
                try:
                    called = socket.create_connection(("127.0.0.1", self._target), timeout=10)
                except OSError:  # The listener is away.
                    caller.close()
                    continue
                called.settimeout(None)
                with self._lock:
                    self._open.update((caller, called))
                threading.Thread(target=self._serve, args=(caller, called), daemon=True).start()

    def _serve(self, caller: socket.socket, called: socket.socket) -> None:
        back = threading.Thread(target=_copy, args=(called, caller), daemon=True)
        back.start()
        _copy(caller, called)
        back.join()
        with self._lock:
            self._open.difference_update((caller, called))
        caller.close()
        called.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
