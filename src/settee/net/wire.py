"""One TCP or TLS connection as asyncio gives it: bytes in, bytes out, for whoever uses it now.

A connection has two users in its life: the handshake that opens it, then the link. Both see a
`Wire`, never a transport. It reads into one buffer that all connections of a loop share, since an
idle one then costs nothing, and hands on what came before the loop can read for another.

Writes happen from tasks and loop callbacks only, never from inside `received`, `drained` or
`ended`: a TLS transport that is re-entered fails.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from typing import Any, Final, Protocol, cast

from settee.limits import LINGER_S, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES_MAX

__all__ = ["ReadBuffer", "Wire", "WireUser", "certificate_pin", "send_at_once"]

_TLS_BUFFER_BYTES: Final = 64 * 1024
"""asyncio reserves 256 KiB for each TLS connection; with this much it is as fast."""


class ReadBuffer:
    """What all connections of one loop read into, one after the other."""

    __slots__ = ("view",)

    def __init__(self, size_bytes: int = READ_BUFFER_BYTES) -> None:
        self.view: memoryview[int] = memoryview(bytearray(size_bytes))


class WireUser(Protocol):
    """Who handles what happens on a connection."""

    def connected(self) -> None:
        """TCP, and TLS if there is any, is up. Nothing was sent yet."""

    def received(self, data: bytes) -> None:
        """Bytes came."""

    def drained(self) -> None:
        """Writing may go on, after `Wire.full` was true."""

    def ended(self, error: Exception | None) -> None:
        """The connection is gone; called once, last. None after a proper end."""


class Wire(asyncio.BufferedProtocol):
    """The protocol object of one connection; `user` handles its events."""

    def __init__(self, reads: ReadBuffer, user: WireUser) -> None:
        self.user = user
        self.full: bool = False
        """Whether so much is waiting to be sent that no more should be written."""
        self.gone: bool = False
        """Whether the connection has ended."""
        self._view = reads.view
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Future[None] | None = None

    # What asyncio calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is up."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        _shrink_tls_buffer(transport)
        self.user.connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self.user.received(bytes(self._view[:nbytes]))

    def pause_writing(self) -> None:
        """The transport holds more than it should."""
        self.full = True

    def resume_writing(self) -> None:
        """The transport has sent most of it."""
        self.full = False
        if not self.gone:
            self.user.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.gone = True
        self.full = False
        self._transport = None  # It holds us too: nothing should have to wait for the collector.
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
        self.user.ended(exc)

    # What its users call -----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data`; without effect when the connection is closing or gone."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def pause_reading(self) -> None:
        """Let what comes wait in the kernel. Call it when connected only."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, within_s: float = LINGER_S) -> None:
        """Send what is waiting, then end; by force after `within_s` seconds."""
        if self._transport is not None and not self.gone:
            self._transport.close()
            self._force_after(within_s)

    def close_after_peer(self, within_s: float = LINGER_S) -> None:
        """Wait up to `within_s` seconds for the peer to end, then end.

        Closing while bytes of the peer's are unread resets the connection, and the peer loses what
        was sent to it last: why it is refused. Whoever uses this throws away what still comes.
        """
        transport = self._transport
        if transport is None or self.gone:
            return
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        self._force_after(within_s)

    def abort(self) -> None:
        """End now; what is waiting is lost."""
        if self._transport is not None and not self.gone:
            self._transport.abort()

    async def wait_ended(self) -> None:
        """Return when the connection is gone."""
        if not self.gone:
            if self._end is None:
                self._end = self._loop.create_future()
            await self._end

    @property
    def certificate_der(self) -> bytes | None:
        """The peer's own certificate, or None without TLS or if it showed none."""
        tls = self._tls
        return None if tls is None else tls.getpeercert(True)

    @property
    def tls_version(self) -> str | None:
        """Such as ``"TLSv1.3"``; None without TLS."""
        tls = self._tls
        return None if tls is None else tls.version()

    @property
    def _tls(self) -> ssl.SSLObject | None:
        if self._transport is None:
            return None
        return cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))

    def _force_after(self, within_s: float) -> None:
        if self._linger_timer is None:
            self._linger_timer = self._loop.call_later(within_s, self.abort)


def certificate_pin(der: bytes) -> bytes:
    """Return what a pin is compared with: the SHA-256 of a certificate, 32 bytes."""
    return hashlib.sha256(der).digest()


def send_at_once(sock: socket.socket) -> None:
    """Turn Nagle's algorithm off: frames are gathered already, and waiting costs a round trip."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _shrink_tls_buffer(transport: asyncio.BaseTransport) -> None:
    """Give back three quarters of asyncio's TLS buffer; does nothing where it can't."""
    protocol: Any = getattr(transport, "_ssl_protocol", None)
    buffer = getattr(protocol, "_ssl_buffer", None)
    if not isinstance(buffer, bytearray) or not hasattr(protocol, "_ssl_buffer_view"):
        return
    if getattr(protocol, "max_size", 0) > _TLS_BUFFER_BYTES:
        protocol.max_size = _TLS_BUFFER_BYTES
        protocol._ssl_buffer = bytearray(_TLS_BUFFER_BYTES)
        protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)
