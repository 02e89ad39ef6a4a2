"""A client that is no peer: bytes over TLS or without, and what came back."""

from __future__ import annotations

import contextlib
import socket
import ssl

ASK = (
    "GET {path} HTTP/1.1\r\nHost: kitchen\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Protocol: BLIP_3+CBMobile_3\r\n{more}\r\n"
)


def ask(path: str = "/kitchen/_blipsync", **headers: str) -> bytes:
    """Return the request for a link; underscores in the names of headers stand for dashes."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return ASK.format(path=path, more=more).encode()


def open_context() -> ssl.SSLContext:
    """A context that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def said(
    port: int, data: bytes, *, tls: bool = True, context: ssl.SSLContext | None = None
) -> bytes:
    """Connect, send `data`, and return all that comes until the other side ends."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        if tls:
            sock = stack.enter_context((context or open_context()).wrap_socket(sock))
        sock.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            while piece := sock.recv(65536):
                answer += piece
                if answer.startswith(b"HTTP/1.1 101"):
                    break
        return answer
