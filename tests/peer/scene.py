"""What the tests of peers over real sockets share: listeners that remember, a little proxy."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from settee import Database, TLSIdentity, URLEndpointListener
from settee.net.acceptor import Accept

IDENTITY = TLSIdentity.create("kitchen", hosts=["127.0.0.1", "localhost", "::1"])


class Requests(list[dict[str, str]]):
    """The headers of the requests that a listener was asked with; what it answers with."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: tuple[tuple[str, str], ...] = ()
        """Further headers of every answer."""

    def cookies(self) -> list[str]:
        return [headers.get("cookie", "") for headers in self]


def remembering(listener: URLEndpointListener) -> Requests:
    """Have a listener that isn't started yet remember what it is asked."""
    requests = Requests()
    decide = listener._peer._decide

    async def asked(request: Any, peer: Any) -> Any:
        requests.append(request.headers)
        decision = await decide(request, peer)
        if isinstance(decision, Accept):
            return replace(decision, headers=(*decision.headers, *requests.answer))
        return replace(decision, headers=(*decision.headers, *requests.answer))

    listener._peer._decide = asked  # type: ignore[method-assign]
    return requests


@contextlib.contextmanager
def serving(db: Database, **options: Any) -> Iterator[tuple[str, Requests]]:
    """Serve a database on loopback; gives the URL, and what is asked there."""
    given = {"host": "127.0.0.1", "tls_identity": IDENTITY, **options}
    if "authenticator" not in given:
        given["allow_anonymous"] = True
    if given.get("tls") is False:
        del given["tls_identity"]
    listener = URLEndpointListener(db, **given)
    requests = remembering(listener)
    with listener:
        yield listener.urls[0], requests


class LittleProxy:
    """A real HTTP proxy for CONNECT, in a thread; remembers the heads that it got."""

    def __init__(self, answer: Callable[[bytes], bytes | None] = lambda head: None) -> None:
        self.heads: list[bytes] = []
        self.passed = bytearray()
        """What clients sent through."""
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        self._start(self._accept)

    def __enter__(self) -> LittleProxy:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._ends.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = client.recv(1)
                if not data:
                    return
                head += data
            self.heads.append(head)
            answer = self._answer(head)
            if answer is not None:
                client.sendall(answer)
                return
            target = head.split(b" ")[1].decode()
            host, _, port = target.rpartition(":")
            with socket.create_connection((host.strip("[]"), int(port)), 5) as server:
                self._ends.append(server)
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: little\r\n\r\n")
                self._pump(client, server)

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([client, server], [], [], 10)
            if not readable:
                return
            for end in readable:
                data = end.recv(65536)
                if not data:
                    return
                if end is client:
                    self.passed += data
                (server if end is client else client).sendall(data)
